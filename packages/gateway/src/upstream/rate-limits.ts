import { type RateLimitReader, rateLimitReader, refusalText } from '../rate-limit-signal.ts'

/** The error codes by which HTTP APIs, such as those of language models, say that a key is used up. */
const EXHAUSTED = /"insufficient_quota"|_spend_limit_reached"/

/** Of an HTTP API: status, headers, and error codes in the bodies of refusals. */
export const readApiRateLimits: RateLimitReader = rateLimitReader((answer) => ({
  exhausted: EXHAUSTED.test(refusalText(answer)),
}))
