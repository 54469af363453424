const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const MONTH = `(?<month>${MONTHS.join('|')})`
const TIME = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)'

/** The three forms of RFC 9110, 5.6.7: the current one, and two obsolete ones that must be accepted. */
const FORMS = [
  `(?:mon|tue|wed|thu|fri|sat|sun), (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} gmt`,
  `(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} gmt`,
  `(?:mon|tue|wed|thu|fri|sat|sun) ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})`,
].map((form) => new RegExp(`^${form}$`, 'i'))

/** A two-digit year further ahead than this, in milliseconds, belongs to the previous century. */
const FIFTY_YEARS = 50 * 365.25 * 86_400_000

/**
 * Parses an HTTP date to milliseconds since 1970; undefined if it is invalid. `Date.parse` accepts too much, and an
 * invalid `Expires` must count as past (RFC 9111, 5.3).
 *
 * @param now wall time, to resolve two-digit years
 */
export function readDate(field: string | undefined, now: number): number | undefined {
  for (const form of FORMS) {
    const parts = form.exec(field ?? '')?.groups
    if (parts === undefined) continue
    const { year = '', month = '', day, hour, minute, second } = parts
    const at = (year: number) =>
      Date.UTC(year, MONTHS.indexOf(month.toLowerCase()), Number(day), Number(hour), Number(minute), Number(second))
    if (year.length === 4) return at(Number(year))
    const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100
    const near = at(century + Number(year))
    return near - now > FIFTY_YEARS ? at(century - 100 + Number(year)) : near
  }
  return undefined
}
