import type { UpstreamAnswer } from '../call.ts'
import { waitOf } from '../rate-limit-wait.ts'

/** What an answer says of the budget it came from. */
export interface RateLimitSignal {
  /** The call was refused for coming too soon, or with what is barred: rest so many milliseconds. */
  readonly rest: number | undefined
  /** That is so of calls of its lane alone, such as a method that has a limit of its own. */
  readonly ofLane: boolean
  /** It failed or forbade, and said when to come back: that is so of what was asked for, and not of the budget. */
  readonly away: number | undefined
  /** So many calls are left in the upstream's window. */
  readonly left: number | undefined
  /** The key is used up: no rest will help. */
  readonly spent: boolean
}

/** The longest rest that an upstream's word is believed for, in milliseconds: some send a day, some nonsense. */
const LONGEST = 5 * 60_000

/** The rest after a refusal that names none, and the shortest. */
const UNNAMED = 1000

/** How the known upstreams say that a key is used up, in the body of a refusal. */
const SPENT = /"insufficient_quota"|max usage reached|_spend_limit_reached"/

/** How public nodes of Solana say that a method's own limit is reached; they say it of others too, where headers don't tell them apart. */
const OF_METHOD = /for a specific RPC call/

/** What says how many calls are left, of all that count. */
const REMAINING = [
  'x-ratelimit-remaining',
  'x-ratelimit-remaining-requests',
  'x-rate-limit-remaining',
  'ratelimit-remaining',
]

/** Refusals that may be for coming too often, where they say for how long. 418 is what some say to who went on after a 429. */
const MAY_BE_TOO_SOON = [402, 403, 418]

/**
 * Reads the budget out of an answer: how long to wait (`waitOf`), how much remains, and of which limit a node with limits for each method speaks
 * (`x-ratelimit-method-remaining`, `x-ratelimit-rps-remaining`).
 *
 * @param now wall time in milliseconds since 1970
 */
export function readRateLimitSignal({ status, headers, body }: UpstreamAnswer, now: number): RateLimitSignal {
  const said = status >= 400 ? body.toString('utf8', 0, 2000) : ''
  const spent = SPENT.test(said)
  const remaining = REMAINING.map((name) => headers[name]).find((text) => text !== undefined)
  const left = remaining !== undefined && /^\s*-?\d+\s*$/.test(remaining) ? Number(remaining) : undefined
  const wait = status >= 400 ? believed(waitOf(headers, now)) : undefined
  const says = headers['retry-after'] !== undefined
  // Some forbid one path for a while, so that only a limit that is reached is of all calls.
  const barred = MAY_BE_TOO_SOON.includes(status) && ((says && status === 418) || (left ?? 1) <= 0)
  const tooSoon = !spent && (status === 429 || barred)
  return {
    rest: tooSoon ? (wait ?? UNNAMED) : undefined,
    ofLane: tooSoon && isOfMethod(headers, said),
    // What a limit is reset at is no time to come back from a failure.
    away: says && !tooSoon && !spent && (status >= 500 || MAY_BE_TOO_SOON.includes(status)) ? wait : undefined,
    left,
    spent,
  }
}

function believed(wait: number | undefined): number | undefined {
  return wait === undefined ? undefined : Math.min(Math.max(wait, UNNAMED), LONGEST)
}

/** Whether a refusal is of a method's limit. Where headers tell that of all calls nothing is left, it is not. */
function isOfMethod(headers: Readonly<Record<string, string>>, said: string): boolean {
  const [method, all] = ['method', 'rps'].map((limit) => headers[`x-ratelimit-${limit}-remaining`])
  if (all !== undefined && Number(all) <= 0) return false
  return (method !== undefined && Number(method) <= 0) || OF_METHOD.test(said)
}

/** Whether a call was refused for the key it came with, and not for what it was: it was not carried out. */
export function isOfItsKey({ status }: UpstreamAnswer, { spent, rest, ofLane }: RateLimitSignal): boolean {
  return status < 500 && (spent || (rest !== undefined && !ofLane))
}

/** For how long an answer asks to wait, as those above the budget read it. */
export function restOf({ rest, away }: RateLimitSignal): Pick<UpstreamAnswer, 'rest' | 'ofOperation'> {
  if (rest !== undefined) return { rest }
  return away === undefined ? {} : { rest: away, ofOperation: true }
}
