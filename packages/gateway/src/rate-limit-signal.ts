import type { UpstreamAnswer } from './call.ts'
import { waitOf } from './rate-limit-wait.ts'

/** What an answer says of the limits that it was counted in. */
export interface RateLimitSignal {
  /** The call was refused for coming too soon: nothing may start for this many milliseconds. */
  readonly pause?: number | undefined
  /** Only the calls of its lane are paused, such as those of a method with a limit of its own. */
  readonly ofLane?: boolean | undefined
  /**
   * The call failed or was forbidden, with a time to come back, in milliseconds. That is so of what was asked for, and not of
   * the limits.
   */
  readonly retryAfter?: number | undefined
  readonly remaining?: Remaining | undefined
  /** The key is used up: no pause helps. */
  readonly exhausted?: boolean | undefined
}

/** How much is left in the upstream's longest windows, by what they count. */
export interface Remaining {
  /** Calls. Where no limit counts calls, this is of the limits that count costs. */
  readonly calls?: number | undefined
  /** Costs, such as tokens. */
  readonly cost?: number | undefined
}

/**
 * Reads the signal of an answer.
 *
 * @param now wall time in milliseconds since 1970
 */
export type RateLimitReader = (answer: UpstreamAnswer, now: number) => RateLimitSignal

/** The longest pause that an upstream is believed, in milliseconds: some send a day, some nonsense. */
const LONGEST = 5 * 60_000

/** The pause after a refusal that names none, and the shortest. */
const UNNAMED = 1000

/** The headers that say how many calls are left of all that count, and how many tokens. */
const CALLS_LEFT = [
  'x-ratelimit-remaining',
  'x-ratelimit-remaining-requests',
  'x-rate-limit-remaining',
  'ratelimit-remaining',
  'anthropic-ratelimit-requests-remaining',
]
const TOKENS_LEFT = ['x-ratelimit-remaining-tokens', 'anthropic-ratelimit-tokens-remaining']

/** Statuses of refusals that may be for coming too often, where they say for how long. Some send 418 to a caller that went on after a 429. */
const MAY_BE_TOO_SOON = [402, 403, 418]

/** Reads what status and headers say: how long to wait (`waitOf`), and how much is left. */
export function readRateLimitHeaders({ status, headers }: UpstreamAnswer, now: number): RateLimitSignal {
  const calls = numberIn(headers, CALLS_LEFT)
  const cost = numberIn(headers, TOKENS_LEFT)
  const nothingLeft = (calls ?? 1) <= 0 || (cost ?? 1) <= 0
  const wait = status >= 400 ? believed(waitOf(headers, now)) : undefined
  const namesWait = headers['retry-after'] !== undefined
  // Some forbid one path for a while. Only a limit that is reached concerns all calls.
  const barred = MAY_BE_TOO_SOON.includes(status) && ((namesWait && status === 418) || nothingLeft)
  const tooSoon = status === 429 || barred
  return {
    pause: tooSoon ? (wait ?? UNNAMED) : undefined,
    // The moment at which a limit is reset is no time to come back from a failure.
    retryAfter: namesWait && !tooSoon && (status >= 500 || MAY_BE_TOO_SOON.includes(status)) ? wait : undefined,
    remaining: calls === undefined && cost === undefined ? undefined : { calls, cost },
  }
}

/**
 * A reader for one upstream: what it says in its own way goes over what `base` reads.
 *
 * @param own reads what only this upstream says, such as that a key is used up
 */
export function rateLimitReader(
  own: (answer: UpstreamAnswer) => RateLimitSignal,
  base: RateLimitReader = readRateLimitHeaders,
): RateLimitReader {
  return (answer, now) => {
    const signal = { ...base(answer, now), ...own(answer) }
    return signal.exhausted ? { ...signal, pause: undefined, retryAfter: undefined } : signal
  }
}

/** The beginning of a refusal's body; '' for an answer that is none. */
export function refusalText({ status, body }: UpstreamAnswer): string {
  return status >= 400 ? body.toString('utf8', 0, 2000) : ''
}

function numberIn(headers: UpstreamAnswer['headers'], names: readonly string[]): number | undefined {
  const text = names.map((name) => headers[name]).find((text) => text !== undefined)
  return text !== undefined && /^\s*-?\d+\s*$/.test(text) ? Number(text) : undefined
}

function believed(wait: number | undefined): number | undefined {
  return wait === undefined ? undefined : Math.min(Math.max(wait, UNNAMED), LONGEST)
}
