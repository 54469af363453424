import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spanOf, waitOf } from '../rate-limit-wait.ts'
import { readRateLimitSignal } from './rate-limit-signal.ts'

/** How long to rest after a 429. */
const restAfter = (headers: Readonly<Record<string, string>>, now: number) =>
  readRateLimitSignal({ status: 429, headers, body: Buffer.alloc(0) }, now).rest

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0)
const at = (seconds: number) => new Date(NOW + seconds * 1000)
const unix = (seconds: number) => String(NOW / 1000 + seconds)

describe('how long to rest after a 429', () => {
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
    expect(restAfter(headers, NOW)).toBe(expected)
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
    expect(restAfter(headers, NOW)).toBe(1000)
  })

  test.each([
    ['a day in seconds', { 'retry-after': '86400' }],
    ['more seconds than a number holds', { 'retry-after': '9'.repeat(400) }],
    ['a date in a hundred years', { 'retry-after': at(3_155_760_000).toUTCString() }],
    ['nanoseconds of no clock', { 'x-ratelimit-reset': '9'.repeat(30) }],
    ['a policy of a day', { ratelimit: '"day";r=0', 'ratelimit-policy': '"day";q=9;w=86400' }],
  ])('five minutes for %s', (_, headers) => {
    expect(restAfter(headers, NOW)).toBe(300_000)
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
    expect(restAfter(headers, NOW)).toBe(expected)
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

describe('the word of an answer', () => {
  const read = (status: number, headers: Readonly<Record<string, string>> = {}, body = '') =>
    readRateLimitSignal({ status, headers, body: Buffer.from(body) }, NOW)

  test('of a success is what is left', () => {
    expect(read(200, { 'x-ratelimit-remaining': '17', 'retry-after': '5' })).toEqual({
      rest: undefined,
      ofLane: false,
      away: undefined,
      left: 17,
      spent: false,
    })
    expect(read(200, { 'x-ratelimit-remaining-requests': '3' }).left).toBe(3)
    expect(read(200, { 'x-ratelimit-remaining': '-2' }).left).toBe(-2)
  })

  test.each(['"30"', '30;comment=x', '+30', '30S', '30 s', '30 secs', '00:00:30'])('%j is half a minute', (text) => {
    expect(restAfter({ 'retry-after': text }, NOW)).toBe(30_000)
  })

  test.each(['', 'many', '1.5', '0x10', '1, 2'])('%j left is nothing said', (remaining) => {
    expect(read(200, { 'x-ratelimit-remaining': remaining }).left).toBeUndefined()
  })

  test.each([
    [429, '{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}'],
    [429, '{"error":"max usage reached"}'],
    [403, '{"code":"team_spend_limit_reached"}'],
    [402, '{"code":"insufficient_quota"}'],
  ])('%i with %s is a key that is used up, which no rest helps', (status, body) => {
    expect(read(status, { 'retry-after': '7' }, body)).toMatchObject({ rest: undefined, spent: true })
  })

  const OF_METHOD = '{"error":{"code":429,"message":"Too many requests for a specific RPC call"}}'
  const remaining = (method: string | undefined, rps: string | undefined) => ({
    ...(method === undefined ? {} : { 'x-ratelimit-method-remaining': method }),
    ...(rps === undefined ? {} : { 'x-ratelimit-rps-remaining': rps }),
  })

  test.each([
    ['nothing left of the method', remaining('-1', '50'), '', true],
    ['the same, without a word of all calls', remaining('0', undefined), '', true],
    ['the words of public nodes', {}, OF_METHOD, true],
    ['these, where nothing of all calls is left', remaining('-1', '-2'), OF_METHOD, false],
    ['these, and something left of both', remaining('9', '90'), OF_METHOD, true],
    ['other words, and something left of both', remaining('9', '90'), 'rate limited', false],
    ['no words', {}, '', false],
  ])('a refusal with %s', (_, headers, body, ofLane) => {
    expect(read(429, { ...headers, 'retry-after': '7' }, body)).toMatchObject({ rest: 7000, ofLane })
    expect(read(200, headers, body).ofLane).toBe(false)
  })

  test('a success that quotes such words is none', () => {
    expect(read(200, {}, '{"help":"max usage reached"}').spent).toBe(false)
  })

  test.each([
    [429, {}, 1000],
    [418, { 'retry-after': '30' }, 30_000],
    [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': unix(30) }, 30_000],
    [403, { 'x-ratelimit-remaining': '0' }, 1000],
    [403, {}, undefined],
    [403, { 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': unix(30) }, undefined],
    [418, {}, undefined],
    [400, { 'retry-after': '30' }, undefined],
    [404, { 'x-ratelimit-remaining': '0' }, undefined],
  ] as const)('%i with %j asks to rest for %j', (status, headers, rest) => {
    expect(read(status, headers)).toMatchObject({ rest, away: undefined })
  })

  test('a failure, and a refusal with calls left, that says when to come back is of what was asked for', () => {
    for (const status of [402, 403])
      expect(read(status, { 'retry-after': '30' })).toMatchObject({ rest: undefined, away: 30_000 })
    expect(read(503, { 'retry-after': '9' })).toMatchObject({ rest: undefined, away: 9000 })
    expect(read(503, { 'x-ratelimit-reset': unix(60) }).away).toBeUndefined()
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
          expect(restAfter(headers, NOW)).toBe(seconds * 1000)
        },
      ),
    )
  })

  test('whatever a header says, a rest is between a second and five minutes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('retry-after', 'x-ratelimit-reset', 'ratelimit', 'date'),
        fc.string(),
        (name, text) => {
          const wait = waitOf({ 'retry-after': '2', [name]: text }, NOW)
          expect(wait === undefined || wait >= 0).toBe(true)
          const rest = restAfter({ [name]: text }, NOW) ?? 0
          expect(rest >= 1000 && rest <= 300_000).toBe(true)
        },
      ),
    )
  })
})
