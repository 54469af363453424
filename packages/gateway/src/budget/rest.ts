/** The longest rest that an upstream's word is believed for, in milliseconds: some send a day, some nonsense. */
const LONGEST = 5 * 60_000

/** The rest after a refusal that names none. */
const UNNAMED = 1000

/**
 * How long to rest after a 429, in milliseconds, from `Retry-After` (seconds or an HTTP date) or else from
 * `x-ratelimit-reset` (Unix seconds); one second when neither makes sense, at most five minutes.
 *
 * @param now wall time in milliseconds since 1970
 */
export function restAfter(headers: Readonly<Record<string, string>>, now: number): number {
  const rest = fromRetryAfter(headers['retry-after'], now) ?? fromReset(headers['x-ratelimit-reset'], now) ?? UNNAMED
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

function fromReset(text: string | undefined, now: number): number | undefined {
  const seconds = number(text)
  return seconds === undefined ? undefined : seconds * 1000 - now
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined
}
