const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Formats a duration in its largest whole unit: `12 s`, `3 min`, `5 h`, `2 d`. Negative durations count as zero. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < MINUTE) return `${Math.max(0, Math.floor(milliseconds / SECOND))} s`
  if (milliseconds < HOUR) return `${Math.floor(milliseconds / MINUTE)} min`
  if (milliseconds < DAY) return `${Math.floor(milliseconds / HOUR)} h`
  return `${Math.floor(milliseconds / DAY)} d`
}

/** Formats an age: `now` below two seconds, then `12 s ago`. */
export function formatAge(milliseconds: number): string {
  return milliseconds < 2 * SECOND ? 'now' : `${formatDuration(milliseconds)} ago`
}

/** Formats a local time to the second, with the date unless it is today. */
export function formatExactTime(instant: number, now: number): string {
  const date = new Date(instant)
  const time = date.toLocaleTimeString('en-GB')
  return date.toDateString() === new Date(now).toDateString() ? time : `${date.toLocaleDateString('en-CA')} ${time}`
}
