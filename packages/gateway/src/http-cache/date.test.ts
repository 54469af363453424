import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readDate } from './date.ts'

const NOW = Date.UTC(2026, 0, 1)
const AT = Date.UTC(1994, 10, 6, 8, 49, 37)

test.each([
  ['Sun, 06 Nov 1994 08:49:37 GMT', AT],
  ['Sunday, 06-Nov-94 08:49:37 GMT', AT],
  ['Sun Nov  6 08:49:37 1994', AT],
  ['sun, 06 nov 1994 08:49:37 gmt', AT],
  ['Sunday, 06-Nov-30 08:49:37 GMT', Date.UTC(2030, 10, 6, 8, 49, 37)],
  ['Sunday, 06-Nov-78 08:49:37 GMT', Date.UTC(1978, 10, 6, 8, 49, 37)],
  ['Sun, 06 Nov 1994 08:49:37 UTC', undefined],
  ['Sun, 06 Nov 94 08:49:37 GMT', undefined],
  ['Sun 06 Nov 1994 08:49:37 GMT', undefined],
  ['Sun, 06  Nov 1994 08:49:37 GMT', undefined],
  ['Sun, 06-Nov-1994 08:49:37 GMT', undefined],
  ['Sun, 06 Nov 1994 08.49.37 GMT', undefined],
  ['Sun, 06 Nov 1994 8:49:37 GMT', undefined],
  ['1994-11-06T08:49:37Z', undefined],
  ['0', undefined],
  ['', undefined],
  [undefined, undefined],
])('%s', (field, expected) => {
  expect(readDate(field, NOW)).toBe(expected)
})

test('every well-formed date is parsed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
      expect(readDate(new Date(seconds * 1000).toUTCString(), NOW)).toBe(seconds * 1000)
    }),
  )
})
