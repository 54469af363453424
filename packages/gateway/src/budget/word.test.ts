import { describe, expect, test } from 'vitest'
import { restAfter } from './word.ts'

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
