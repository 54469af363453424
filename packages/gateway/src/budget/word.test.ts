import { describe, expect, test } from 'vitest'
import { goDuration, readWord, restAfter } from './word.ts'

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
    ['Retry-After before a reset', { 'retry-after': '3', 'x-ratelimit-reset': unix(60) }, 3000],
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
    ['a reset in milliseconds instead of seconds', { 'x-ratelimit-reset': String(NOW + 1000) }],
  ])('five minutes for %s', (_, headers) => {
    expect(restAfter(headers, NOW)).toBe(300_000)
  })
})

describe('more ways to say when', () => {
  test.each([
    ['milliseconds', { 'retry-after-ms': '1500' }, 1500],
    ['milliseconds before seconds, which are rounded', { 'retry-after-ms': '1200', 'retry-after': '2' }, 1200],
    ['seconds where the milliseconds are nonsense', { 'retry-after-ms': 'x', 'retry-after': '2' }, 2000],
    ['a reset as a Go duration', { 'x-ratelimit-reset': '6m0s' }, 300_000],
    ['a reset of requests as a Go duration', { 'x-ratelimit-reset-requests': '1m30s' }, 90_000],
    ['one second for a Go duration that is shorter', { 'x-ratelimit-reset-requests': '12ms' }, 1000],
    ['Retry-After before the reset of requests', { 'retry-after': '3', 'x-ratelimit-reset-requests': '20s' }, 3000],
  ])('%s', (_, headers, expected) => {
    expect(restAfter(headers, NOW)).toBe(expected)
  })
})

describe('a Go duration', () => {
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
    expect(goDuration(text)).toBeCloseTo(milliseconds, 9)
  })

  test.each([undefined, '', '5', 's', '-5s', '1s2', '5 s', '1d', '1e3s', 'soon'])('%s is none', (text) => {
    expect(goDuration(text)).toBeUndefined()
  })
})

describe('the word of an answer', () => {
  const read = (status: number, headers: Readonly<Record<string, string>> = {}, body = '') =>
    readWord({ status, headers, body: Buffer.from(body) }, NOW)

  test('of a success is what is left', () => {
    expect(read(200, { 'x-ratelimit-remaining': '17', 'retry-after': '5' })).toEqual({
      rest: undefined,
      ofLane: false,
      left: 17,
      spent: false,
    })
    expect(read(200, { 'x-ratelimit-remaining-requests': '3' }).left).toBe(3)
    expect(read(200, { 'x-ratelimit-remaining': '-2' }).left).toBe(-2)
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

  test('only a 429 asks to rest', () => {
    expect([read(429).rest, read(503, { 'retry-after': '9' }).rest, read(400).rest]).toEqual([
      1000,
      undefined,
      undefined,
    ])
  })
})
