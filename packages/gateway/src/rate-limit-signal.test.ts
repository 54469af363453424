import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rateLimitReader, readRateLimitHeaders } from './rate-limit-signal.ts'
import { spanOf, waitOf } from './rate-limit-wait.ts'

/** How long a 429 pauses the budget. */
const pauseAfter = (headers: Readonly<Record<string, string>>, now: number) =>
  readRateLimitHeaders({ status: 429, headers, body: Buffer.alloc(0) }, now).pause

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0)
const at = (seconds: number) => new Date(NOW + seconds * 1000)
const unix = (seconds: number) => String(NOW / 1000 + seconds)

describe('how long a 429 pauses the budget', () => {
  test.each([
    ['seconds', { 'retry-after': '7' }, 7000],
    ['seconds with spaces around', { 'retry-after': ' 7 ' }, 7000],
    ['parts of a second', { 'retry-after': '2.5' }, 2500],
    ['an HTTP date', { 'retry-after': at(30).toUTCString() }, 30_000],
    ['an HTTP date of the second kind', { 'retry-after': 'Thursday, 01-Jan-26 12:00:30 GMT' }, 30_000],
    ["C's asctime, which names no zone and means GMT", { 'retry-after': 'Thu Jan  1 12:00:30 2026' }, 30_000],
    ['Unix seconds of a reset', { 'x-ratelimit-reset': unix(12) }, 12_000],
    ['Unix seconds with a fraction', { 'x-ratelimit-reset': `${unix(12)}.5` }, 12_500],
    ['the longest of several', { 'retry-after': '3', 'x-ratelimit-reset': unix(60) }, 60_000],
    [
      'no reset of which something is left',
      { 'retry-after': '3', 'x-ratelimit-reset': unix(60), 'x-ratelimit-remaining': '9' },
      3000,
    ],
    ['Unix milliseconds of a reset', { 'x-ratelimit-reset': String(NOW + 2000) }, 2000],
    ['Unix milliseconds in Retry-After', { 'retry-after': String(NOW + 2000) }, 2000],
    ['Unix microseconds', { 'x-ratelimit-reset': String((NOW + 2000) * 1000) }, 2000],
    ['an ISO date', { 'x-ratelimit-reset': at(30).toISOString() }, 30_000],
    ['an ISO date of one limit', { 'anthropic-ratelimit-requests-reset': at(30).toISOString() }, 30_000],
    ['an ISO date without a zone', { 'retry-after': '2026-01-01 12:00:30' }, 30_000],
    ['a clock that is ahead', { date: at(3600).toUTCString(), 'x-ratelimit-reset': unix(3602) }, 2000],
    ['a clock that is behind', { date: at(-3600).toUTCString(), 'retry-after': at(-3570).toUTCString() }, 30_000],
    ['a wait in seconds of a reset', { 'ratelimit-reset': '20' }, 20_000],
    ['the same under another name', { 'x-rate-limit-reset': '20' }, 20_000],
    ['a wait with a fraction', { 'x-ratelimit-reset-after': '1.25' }, 1250],
    ['the IETF field', { ratelimit: '"burst";r=0;t=30' }, 30_000],
    ['of its limits the one that is used up', { ratelimit: '"day";r=900;t=86000, "burst";r=0;t=7' }, 7000],
    [
      'a window where the field names no time',
      { ratelimit: '"b";r=0', 'ratelimit-policy': '"a";q=9;w=90, "b";q=1;w=10' },
      10_000,
    ],
    ['the field of earlier versions', { ratelimit: 'limit=100, remaining=0, reset=30' }, 30_000],
    [
      'of requests and tokens those that are used up',
      {
        'x-ratelimit-remaining-requests': '99',
        'x-ratelimit-reset-requests': '4m',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '1m30s',
      },
      90_000,
    ],
    ['a field that came twice', { 'retry-after': '3, 5' }, 5000],
    ['a span', { 'retry-after': '1m30s' }, 90_000],
    ['an hour', { 'retry-after': '1hr' }, 300_000],
    ['a span with spaces', { 'retry-after': '1m 30s' }, 90_000],
    ['a day of the calendar', { date: at(-30).toUTCString(), 'retry-after': '2026-01-01T12:00:00+00' }, 30_000],
    ['a basic ISO date', { 'x-ratelimit-reset': '20260101T120030Z' }, 30_000],
    ['an HTTP date without a weekday', { 'retry-after': '01 Jan 2026 12:00:30 GMT' }, 30_000],
    ['a date in another zone', { 'retry-after': 'Thu, 01 Jan 2026 07:00:30 EST' }, 30_000],
    ['a date that came twice', { 'retry-after': `${at(20).toUTCString()}, ${at(30).toUTCString()}` }, 30_000],
    ['a name with x-', { 'x-retry-after': '30' }, 30_000],
    ['milliseconds, as Azure names them', { 'x-ms-retry-after-ms': '30000' }, 30_000],
    ['milliseconds, as KuCoin names them', { 'gw-ratelimit-reset': '30000', 'gw-ratelimit-remaining': '0' }, 30_000],
    ['a moment, as Bybit names it', { 'x-bapi-limit-reset-timestamp': String(NOW + 30_000) }, 30_000],
    ['a policy beside nothing left', { 'ratelimit-policy': '100;w=60', 'ratelimit-remaining': '0' }, 60_000],
    ['an ISO span', { 'retry-after': 'PT1M30S' }, 90_000],
    ['words', { 'retry-after': '30 seconds' }, 30_000],
    ['a reset where Retry-After is nonsense', { 'retry-after': 'soon', 'x-ratelimit-reset': unix(9) }, 9000],
    ['a reset where Retry-After is words with a number', { 'retry-after': 'in 5', 'x-ratelimit-reset': unix(9) }, 9000],
    ['a reset where Retry-After is negative', { 'retry-after': '-5', 'x-ratelimit-reset': unix(9) }, 9000],
  ])('%s', (_, headers, expected) => {
    expect(pauseAfter(headers, NOW)).toBe(expected)
  })

  test.each([
    ['nothing', {}],
    ['nothing in the header', { 'retry-after': '' }],
    ['zero', { 'retry-after': '0' }],
    ['a negative number', { 'retry-after': '-10' }],
    ['words', { 'retry-after': 'a while' }],
    ['words with a year', { 'retry-after': 'not before 2099' }],
    ['a date that has passed', { 'retry-after': at(-60).toUTCString() }],
    ['a reset that has passed', { 'x-ratelimit-reset': unix(-60) }],
    ['a reset that is no number', { 'x-ratelimit-reset': 'NaN' }],
  ])('one second for %s', (_, headers) => {
    expect(pauseAfter(headers, NOW)).toBe(1000)
  })

  test.each([
    ['a day in seconds', { 'retry-after': '86400' }],
    ['more seconds than a number holds', { 'retry-after': '9'.repeat(400) }],
    ['a date in a hundred years', { 'retry-after': at(3_155_760_000).toUTCString() }],
    ['nanoseconds of no clock', { 'x-ratelimit-reset': '9'.repeat(30) }],
    ['a policy of a day', { ratelimit: '"day";r=0', 'ratelimit-policy': '"day";q=9;w=86400' }],
  ])('five minutes for %s', (_, headers) => {
    expect(pauseAfter(headers, NOW)).toBe(300_000)
  })
})

describe('more ways to say when', () => {
  test.each([
    ['milliseconds', { 'retry-after-ms': '1500' }, 1500],
    ['the longer of milliseconds and seconds', { 'retry-after-ms': '1200', 'retry-after': '2' }, 2000],
    ['seconds where the milliseconds are nonsense', { 'retry-after-ms': 'x', 'retry-after': '2' }, 2000],
    ['a reset as a Go duration', { 'x-ratelimit-reset': '6m0s' }, 300_000],
    ['a reset of requests as a Go duration', { 'x-ratelimit-reset-requests': '1m30s' }, 90_000],
    ['one second for a Go duration that is shorter', { 'x-ratelimit-reset-requests': '12ms' }, 1000],
    [
      'the longer of Retry-After and the reset of requests',
      { 'retry-after': '3', 'x-ratelimit-reset-requests': '20s' },
      20_000,
    ],
  ])('%s', (_, headers, expected) => {
    expect(pauseAfter(headers, NOW)).toBe(expected)
  })
})

describe('a span', () => {
  test.each([
    ['12ms', 12],
    ['1s', 1000],
    ['1.5s', 1500],
    ['6m0s', 360_000],
    ['1h2m3.5s', 3_723_500],
    ['250us', 0.25],
    ['250µs', 0.25],
    ['1000000ns', 1],
    [' 2s ', 2000],
  ])('%s', (text, milliseconds) => {
    expect(spanOf(text)).toBeCloseTo(milliseconds, 9)
  })

  test.each([undefined, '', '5', 's', '-5s', '1s2', '1e3s', 'soon', 'P', 'PT', '5 apples'])('%s is none', (text) => {
    expect(spanOf(text)).toBeUndefined()
  })
})

describe('what an answer says of the limits', () => {
  const read = (status: number, headers: Readonly<Record<string, string>> = {}) =>
    readRateLimitHeaders({ status, headers, body: Buffer.alloc(0) }, NOW)

  test('a success says how much is left, and nothing else', () => {
    expect(read(200, { 'x-ratelimit-remaining': '17', 'retry-after': '5' })).toEqual({ remaining: { calls: 17 } })
    expect(read(200, { 'x-ratelimit-remaining': '-2' }).remaining).toEqual({ calls: -2 })
  })

  test.each([
    ['OpenAI', { 'x-ratelimit-remaining-requests': '59', 'x-ratelimit-remaining-tokens': '149984' }],
    ['Anthropic', { 'anthropic-ratelimit-requests-remaining': '59', 'anthropic-ratelimit-tokens-remaining': '149984' }],
  ])('%s names calls and tokens apart', (_, headers) => {
    expect(read(200, headers).remaining).toEqual({ calls: 59, cost: 149_984 })
  })

  test('tokens alone are costs', () => {
    expect(read(200, { 'x-ratelimit-remaining-tokens': '7' }).remaining).toEqual({ cost: 7 })
  })

  test.each(['"30"', '30;comment=x', '+30', '30S', '30 s', '30 secs', '00:00:30'])('%j is half a minute', (text) => {
    expect(pauseAfter({ 'retry-after': text }, NOW)).toBe(30_000)
  })

  test.each(['', 'many', '1.5', '0x10', '1, 2'])('%j is no number of calls left', (remaining) => {
    expect(read(200, { 'x-ratelimit-remaining': remaining }).remaining).toBeUndefined()
  })

  test.each([
    [429, {}, 1000],
    [418, { 'retry-after': '30' }, 30_000],
    [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': unix(30) }, 30_000],
    [403, { 'x-ratelimit-remaining': '0' }, 1000],
    [403, { 'x-ratelimit-remaining-tokens': '0' }, 1000],
    [403, {}, undefined],
    [403, { 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': unix(30) }, undefined],
    [418, {}, undefined],
    [400, { 'retry-after': '30' }, undefined],
    [404, { 'x-ratelimit-remaining': '0' }, undefined],
  ] as const)('%i with %j pauses the budget for %j', (status, headers, pause) => {
    const signal = read(status, headers)
    expect([signal.pause, signal.retryAfter]).toEqual([pause, undefined])
  })

  test('a failure, and a refusal with calls left, that says when to come back is of what was asked for', () => {
    for (const status of [402, 403]) {
      const signal = read(status, { 'retry-after': '30' })
      expect([signal.pause, signal.retryAfter]).toEqual([undefined, 30_000])
    }
    expect(read(503, { 'retry-after': '9' }).retryAfter).toBe(9000)
    expect(read(503, { 'x-ratelimit-reset': unix(60) }).retryAfter).toBeUndefined()
  })
})

describe('a reader of its own', () => {
  const refusal = { status: 429, headers: { 'retry-after': '7' }, body: Buffer.from('no credit') }

  test('goes over what status and headers say', () => {
    const read = rateLimitReader(() => ({ ofLane: true, remaining: { cost: 5 } }))
    expect(read(refusal, NOW)).toMatchObject({ pause: 7000, ofLane: true, remaining: { cost: 5 } })
  })

  test('can say that the key is used up, which no pause helps', () => {
    const read = rateLimitReader(({ body }) => ({ exhausted: body.includes('no credit') }))
    expect(read(refusal, NOW)).toEqual({ exhausted: true })
    expect(read({ ...refusal, body: Buffer.from('slow down') }, NOW)).toMatchObject({ exhausted: false, pause: 7000 })
  })

  test('can stand on another', () => {
    const base = rateLimitReader(() => ({ ofLane: true }))
    expect(rateLimitReader(() => ({ pause: 50 }), base)(refusal, NOW)).toMatchObject({ pause: 50, ofLane: true })
  })
})

describe('the law of waits', () => {
  const spellings: Readonly<Record<string, (seconds: number, ahead: number) => Readonly<Record<string, string>>>> = {
    seconds: (seconds) => ({ 'retry-after': String(seconds) }),
    milliseconds: (seconds) => ({ 'retry-after-ms': String(seconds * 1000) }),
    span: (seconds) => ({ 'x-ratelimit-reset': `${seconds}s` }),
    unix: (seconds, ahead) => ({ 'x-ratelimit-reset': unix(seconds + ahead) }),
    'unix in ms': (seconds, ahead) => ({ 'x-ratelimit-reset': String(NOW + (seconds + ahead) * 1000) }),
    date: (seconds, ahead) => ({ 'retry-after': at(seconds + ahead).toUTCString() }),
    iso: (seconds, ahead) => ({ 'ratelimit-reset': at(seconds + ahead).toISOString() }),
    ietf: (seconds) => ({ ratelimit: `"a";r=0;t=${seconds}` }),
  }

  test('a wait is the same however it is written, and whatever the clock of the upstream shows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: -86_400, max: 86_400 }),
        fc.constantFrom(...Object.keys(spellings)),
        (seconds, ahead, spelling) => {
          const headers = { date: at(ahead).toUTCString(), ...spellings[spelling]?.(seconds, ahead) }
          expect(pauseAfter(headers, NOW)).toBe(seconds * 1000)
        },
      ),
    )
  })

  test('whatever a header says, a pause is between a second and five minutes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('retry-after', 'x-ratelimit-reset', 'ratelimit', 'date'),
        fc.string(),
        (name, text) => {
          const wait = waitOf({ 'retry-after': '2', [name]: text }, NOW)
          expect(wait === undefined || wait >= 0).toBe(true)
          const pause = pauseAfter({ [name]: text }, NOW) ?? 0
          expect(pause >= 1000 && pause <= 300_000).toBe(true)
        },
      ),
    )
  })
})
