/** Moments later than this are no waits: in seconds, milliseconds, microseconds or nanoseconds since 1970. */
const SINCE_1970 = [1e9, 1e12, 1e15, 1e18] as const

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const SPAN = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/g
const ISO_SPAN = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/
const WORDS = /^(\d+(?:\.\d+)?) *(milliseconds?|seconds?|secs?|minutes?|mins?|hours?)$/i

type Headers = Readonly<Record<string, string>>

/** How headers say how long to wait, and which header says how much is left of the same limit. */
const WAITS: readonly { readonly name: RegExp; readonly left?: (name: string) => string; readonly unit?: number }[] = [
  { name: /^retry-after-ms$/, unit: 1 },
  { name: /^retry-after$/ },
  { name: /^x-ratelimit-reset-after(-ms)?$/, left: () => 'x-ratelimit-remaining' },
  // One limit of several: of requests, of tokens, of a method.
  {
    name: /^(x-)?rate-?limit-.+-reset$|^anthropic-ratelimit-.+-reset$/,
    left: (name) => name.replace(/reset$/, 'remaining'),
  },
  { name: /^(x-)?rate-?limit-reset(-.+)?$/, left: (name) => name.replace('reset', 'remaining') },
]

/**
 * How long a refusal asks to wait, in milliseconds: the longest of all headers that make sense. A limit of which something is left is not the
 * one that refused.
 *
 * @param now wall time in milliseconds since 1970; moments are counted from the answer's own `Date`, since clocks differ
 * @returns undefined when no header says it
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

/** A field that came several times is a list, and a date has a comma in it. */
function fieldOf(value: string, from: number, unit: number | undefined): readonly number[] {
  const whole = waitFrom(value, from, unit)
  const all = whole === undefined ? value.split(',').map((one) => waitFrom(one, from, unit)) : [whole]
  return all.filter((wait) => wait !== undefined)
}

/** A number of seconds, a moment, a span or a date. */
function waitFrom(text: string, from: number, unit = 1000): number | undefined {
  const trimmed = text.trim()
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    const number = Number(trimmed)
    const [seconds, milliseconds, microseconds, nanoseconds] = SINCE_1970
    if (number < seconds) return number * unit
    // A number that is too long for any clock is a wait that is too long to be believed.
    if (number > nanoseconds * 10) return Number.POSITIVE_INFINITY
    const scale = number < milliseconds ? 1000 : number < microseconds ? 1 : number < nanoseconds ? 1e-3 : 1e-6
    return number * scale - from
  }
  const date = dateOf(trimmed)
  return date === undefined ? spanOf(trimmed) : date - from
}

/** Milliseconds of a span: `12ms`, `1.5s`, `6m0s` as Go writes it, `PT1M30S`, `30 seconds`; undefined when it is anything else. */
export function spanOf(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? ''
  if (/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d))+$/.test(trimmed)) {
    let sum = 0
    for (const [, amount, unit = ''] of trimmed.matchAll(SPAN)) sum += Number(amount) * (UNITS[unit] ?? 0)
    return sum
  }
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
  const [, amount, word = ''] = WORDS.exec(trimmed) ?? []
  const unit = word.toLowerCase().startsWith('milli') ? 'ms' : word.charAt(0).toLowerCase()
  return amount === undefined ? undefined : Number(amount) * (UNITS[unit] ?? 0)
}

/**
 * A moment in milliseconds since 1970, as HTTP (RFC 9110, 5.6.7) or ISO 8601 write it. JavaScript alone would take `-5` and `in 5` for dates.
 */
function dateOf(text: string): number | undefined {
  const trimmed = text.trim()
  const ofHttp = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(trimmed)
  if (!ofHttp && !/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(trimmed)) return undefined
  // What names no zone means GMT.
  const zoned = /(GMT|UTC|Z|[+-]\d\d:?\d\d)$/.test(trimmed) ? trimmed : `${trimmed}${ofHttp ? ' GMT' : 'Z'}`
  const date = Date.parse(zoned.replace(/^(\d{4}-\d\d-\d\d) /, '$1T'))
  return Number.isNaN(date) ? undefined : date
}

/**
 * `RateLimit: "burst";r=0;t=30` and `RateLimit-Policy: "burst";q=100;w=60` (IETF draft), and `RateLimit: limit=100, remaining=0, reset=30` of
 * its earlier versions. A policy says how long its window is: nothing that is used up stays so for longer.
 */
function structured({ ratelimit = '', 'ratelimit-policy': policies = '' }: Headers): readonly number[] {
  const earlier = parameters(ratelimit.replaceAll(',', ';'))
  if (earlier.reset !== undefined) return Number(earlier.remaining) > 0 ? [] : [earlier.reset * 1000]
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
