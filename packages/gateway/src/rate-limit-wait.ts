/** Numbers above these are timestamps, not waits: in seconds, milliseconds, microseconds or nanoseconds since 1970. */
const SINCE_1970 = [1e9, 1e12, 1e15, 1e18] as const

/** Milliseconds per unit, by the beginning of its name. The first match counts. */
const UNITS: readonly (readonly [begin: RegExp, milliseconds: number])[] = [
  [/^ns/i, 1e-6],
  [/^[uµ]s/i, 1e-3],
  [/^(ms|milli)/i, 1],
  [/^s/i, 1000],
  [/^m/i, 60_000],
  [/^h/i, 3_600_000],
  [/^d/i, 86_400_000],
]
const PART = String.raw`(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)`
const SPAN = new RegExp(`^(?:${PART}\\s*)+$`, 'i')
const PARTS = new RegExp(PART, 'gi')
const ISO_SPAN = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/
const CLOCK_SPAN = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/

/** Separates a list of waits, but does not split a date at its comma. */
const LIST = /,(?!\s*\d{1,2}[ -][A-Z])/

type Headers = Readonly<Record<string, string>>

/** Headers that contain a wait, and the header with the remaining quota of the same limit. */
const WAITS: readonly { readonly name: RegExp; readonly left?: (name: string) => string; readonly unit?: number }[] = [
  { name: /^(x-)?(ms-)?retry-after(-ms)?$|^x-ratelimit-retry-after$/ },
  { name: /^gw-ratelimit-reset$/, left: () => 'gw-ratelimit-remaining', unit: 1 },
  { name: /^x-bapi-limit-reset-timestamp$/, left: () => 'x-bapi-limit-status' },
  { name: /^x-ratelimit-reset-after(-ms)?$/, left: () => 'x-ratelimit-remaining' },
  // One of several limits: for requests, tokens or a method.
  {
    name: /^(x-)?rate-?limit-.+-reset$|^anthropic-ratelimit-.+-reset$/,
    left: (name) => name.replace(/reset$/, 'remaining'),
  },
  { name: /^(x-)?rate-?limit-reset(-.+)?$/, left: (name) => name.replace('reset', 'remaining') },
]

/**
 * The wait that a refusal asks for, in milliseconds: the longest of all valid headers. A limit with quota left is not
 * the one that refused.
 *
 * @param now wall time in milliseconds since 1970. Timestamps are measured from the answer's own `Date`, since clocks
 * differ.
 * @returns undefined if no header has a wait
 */
export function waitOf(headers: Headers, now: number): number | undefined {
  const from = dateOf(headers.date ?? '') ?? now
  const waits: number[] = []
  for (const [name, value] of Object.entries(headers)) {
    const way = WAITS.find((way) => way.name.test(name))
    if (way === undefined || Number(headers[way.left?.(name) ?? '']) > 0) continue
    const unit = name.endsWith('-ms') ? 1 : way.unit
    waits.push(...fieldOf(value, from, unit))
  }
  waits.push(...structured(headers))
  return waits.length === 0 ? undefined : Math.max(0, ...waits)
}

/** Repeated fields are joined as a list, but a date contains a comma too. */
function fieldOf(value: string, from: number, unit: number | undefined): readonly number[] {
  const whole = waitFrom(value, from, unit)
  const all = whole === undefined ? value.split(LIST).map((one) => waitFrom(one, from, unit)) : [whole]
  return all.filter((wait) => wait !== undefined)
}

/** Parses a number of seconds, a timestamp, a duration or a date. */
function waitFrom(text: string, from: number, unit = 1000): number | undefined {
  // Some servers write a structured field: in quotes, or with parameters.
  const trimmed = text
    .replace(/;.*$/, '')
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .replace(/^\+(?=\d)/, '')
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    const number = Number(trimmed)
    const [seconds, milliseconds, microseconds, nanoseconds] = SINCE_1970
    if (number < seconds) return number * unit
    // A number too large for any timestamp is an unbelievably long wait.
    if (number > nanoseconds * 10) return Number.POSITIVE_INFINITY
    const scale = number < milliseconds ? 1000 : number < microseconds ? 1 : number < nanoseconds ? 1e-3 : 1e-6
    return number * scale - from
  }
  const date = dateOf(trimmed)
  return date === undefined ? spanOf(trimmed) : date - from
}

/**
 * Parses a duration to milliseconds: `12ms`, `1.5s`, Go's `6m0s`, `PT1M30S`, `30 seconds`; undefined for anything else.
 */
export function spanOf(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? ''
  if (SPAN.test(trimmed)) {
    let sum = 0
    for (const [, amount, unit = ''] of trimmed.matchAll(PARTS))
      sum += Number(amount) * (UNITS.find(([begin]) => begin.test(unit))?.[1] ?? 0)
    return sum
  }
  const [, hours, minutes, seconds] = CLOCK_SPAN.exec(trimmed) ?? []
  if (seconds !== undefined) return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
  const iso = trimmed.length > 2 ? ISO_SPAN.exec(trimmed) : null
  if (iso !== null) {
    const [days, hours, minutes, seconds] = iso.slice(1).map((part) => Number(part ?? 0)) as [
      number,
      number,
      number,
      number,
    ]
    return ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000
  }
  return undefined
}

/**
 * Parses a date of HTTP (RFC 9110, 5.6.7) or ISO 8601 to milliseconds since 1970. `Date.parse` alone would accept `-5`
 * and `in 5`.
 */
function dateOf(text: string): number | undefined {
  const trimmed = text.trim()
  if (/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun|\d{1,2}[ -][A-Z][a-z]{2}[ -]\d{2,4} )/.test(trimmed)) {
    // A date without a zone is in GMT.
    return parsed(/([A-Z]{1,4}|[+-]\d\d:?\d\d)$/.test(trimmed) ? trimmed : `${trimmed} GMT`)
  }
  const basic = trimmed.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/, '$1-$2-$3T$4:$5:$6')
  const [, day, time = 'T00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i.exec(basic) ?? []
  if (day === undefined) return undefined
  return parsed(`${day}${time.replace(' ', 'T')}${zone.length === 3 ? `${zone}:00` : zone.toUpperCase()}`)
}

function parsed(text: string): number | undefined {
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : date
}

/**
 * Reads `RateLimit: "burst";r=0;t=30` with `RateLimit-Policy: "burst";q=100;w=60` (IETF draft), and the earlier form
 * `RateLimit: limit=100, remaining=0, reset=30`. A policy gives the length of its window, which bounds the wait.
 */
function structured(headers: Headers): readonly number[] {
  const { ratelimit = '', 'ratelimit-policy': policies = '', 'ratelimit-remaining': left } = headers
  const earlier = parameters(ratelimit.replaceAll(',', ';'))
  if (earlier.reset !== undefined) return Number(earlier.remaining) > 0 ? [] : [earlier.reset * 1000]
  // Third version of the draft: a policy and an exhausted limit without a reset.
  if (ratelimit === '' && Number(left) === 0 && left !== undefined && headers['ratelimit-reset'] === undefined)
    return itemsOf(policies).flatMap(({ given: { w } }) => (w === undefined ? [] : [w * 1000]))
  const windows = new Map(itemsOf(policies).map(({ name, given }) => [name, given.w]))
  return itemsOf(ratelimit).flatMap(({ name, given: { r, t = windows.get(name) } }) =>
    r === undefined || r > 0 || t === undefined ? [] : [t * 1000],
  )
}

function itemsOf(
  field: string,
): readonly { readonly name: string; readonly given: Readonly<Record<string, number>> }[] {
  return field
    .split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/)
    .map((item) => ({ name: item.split(';', 1)[0]?.trim() ?? '', given: parameters(item) }))
}

function parameters(item: string): Readonly<Record<string, number>> {
  const found = [...item.matchAll(/(?:^|;)\s*([a-z]+)=(\d+(?:\.\d+)?)/gi)]
  return Object.fromEntries(found.map(([, name = '', value]) => [name.toLowerCase(), Number(value)]))
}
