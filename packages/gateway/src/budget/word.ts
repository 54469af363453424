import type { UpstreamAnswer } from '../call.ts'

/** What an answer says of the budget it came from. */
export interface Word {
  /** The call was refused for coming too soon: rest so many milliseconds. */
  readonly rest: number | undefined
  /** That is so of calls of its lane alone, such as a method that has a limit of its own. */
  readonly ofLane: boolean
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

/**
 * Reads the budget out of an answer: `Retry-After` (seconds or an HTTP date), `retry-after-ms`, `x-ratelimit-reset` (Unix
 * seconds), resets as Go durations (`6m0s`), how much remains, and of which limit a
 * node with limits for each method speaks (`x-ratelimit-method-remaining`, `x-ratelimit-rps-remaining`).
 *
 * @param now wall time in milliseconds since 1970
 */
export function readWord({ status, headers, body }: UpstreamAnswer, now: number): Word {
  const said = status >= 400 ? body.toString('utf8', 0, 2000) : ''
  const spent = SPENT.test(said)
  const remaining = headers['x-ratelimit-remaining'] ?? headers['x-ratelimit-remaining-requests']
  const tooSoon = status === 429 && !spent
  return {
    rest: tooSoon ? restAfter(headers, now) : undefined,
    ofLane: tooSoon && isOfMethod(headers, said),
    left: remaining !== undefined && /^\s*-?\d+\s*$/.test(remaining) ? Number(remaining) : undefined,
    spent,
  }
}

/** Whether a refusal is of a method's limit. Where headers tell that of all calls nothing is left, it is not. */
function isOfMethod(headers: Readonly<Record<string, string>>, said: string): boolean {
  const [method, all] = ['method', 'rps'].map((limit) => headers[`x-ratelimit-${limit}-remaining`])
  if (all !== undefined && Number(all) <= 0) return false
  return (method !== undefined && Number(method) <= 0) || OF_METHOD.test(said)
}

/**
 * How long to rest after a 429, in milliseconds: the first of the headers that makes sense, one second when none does, and at
 * most five minutes.
 *
 * @param now wall time in milliseconds since 1970
 */
export function restAfter(headers: Readonly<Record<string, string>>, now: number): number {
  const rest =
    number(headers['retry-after-ms']) ??
    fromRetryAfter(headers['retry-after'], now) ??
    fromReset(headers['x-ratelimit-reset'], now) ??
    goDuration(headers['x-ratelimit-reset-requests']) ??
    UNNAMED
  return Math.min(Math.max(rest, UNNAMED), LONGEST)
}

function fromRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  const seconds = number(text)
  if (seconds !== undefined) return seconds * 1000
  // The three forms of RFC 9110 begin with the day; without asking for it, `-5` and `in 5` would be dates for JavaScript.
  const trimmed = text.trim()
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(trimmed)) return undefined
  const date = Date.parse(trimmed.endsWith('GMT') ? trimmed : `${trimmed} GMT`)
  return Number.isNaN(date) ? undefined : date - now
}

/** Unix seconds, or a Go duration: some upstreams use one name for both. */
function fromReset(text: string | undefined, now: number): number | undefined {
  const seconds = number(text)
  return seconds === undefined ? goDuration(text) : seconds * 1000 - now
}

const GO_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds of a duration as Go writes it: `12ms`, `1.5s`, `6m0s`; undefined when it is anything else. */
export function goDuration(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? ''
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(trimmed)) return undefined
  let sum = 0
  for (const [, amount, unit = ''] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(amount) * (GO_UNITS[unit] ?? 0)
  return sum
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined
}
