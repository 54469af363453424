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
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : date - now
}

function fromReset(text: string | undefined, now: number): number | undefined {
  if (text === undefined || !/^\s*\d+(\.\d+)?\s*$/.test(text)) return undefined
  return Number(text) * 1000 - now
}
