import type { UpstreamAnswer } from '../../call.ts'
import { type RateLimitReader, rateLimitReader, refusalText } from '../../rate-limit-signal.ts'

/** How providers of nodes, such as Helius, say that a key is used up. They send that as a call that came too soon. */
export const EXHAUSTED = /max usage reached/i

/** How public nodes of Solana say that the limit of a method is reached. They say so of other limits too, where headers do not tell. */
const OF_METHOD = /for a specific RPC call/

/** Of a JSON-RPC node: status, headers (also those of a method's limit), and the words of refusals. */
export const readNodeRateLimits: RateLimitReader = rateLimitReader((answer) => ({
  exhausted: EXHAUSTED.test(refusalText(answer)),
  ofLane: isOfMethod(answer),
}))

/** Whether a refusal is of a method's limit: not if headers say that nothing is left of all calls. */
function isOfMethod(answer: UpstreamAnswer): boolean {
  const [method, all] = ['method', 'rps'].map((limit) => answer.headers[`x-ratelimit-${limit}-remaining`])
  if (answer.status < 400 || (all !== undefined && Number(all) <= 0)) return false
  return (method !== undefined && Number(method) <= 0) || OF_METHOD.test(refusalText(answer))
}
