import { expect, test } from 'vitest'
import { formatAge, formatExactTime } from '../src/age.ts'

test.each([
  [-5_000, 'now'],
  [1_999, 'now'],
  [2_000, '2 s ago'],
  [59_999, '59 s ago'],
  [60_000, '1 min ago'],
  [7_200_000, '2 h ago'],
  [172_800_000, '2 d ago'],
])('%d ms ago is %s', (age, text) => {
  expect(formatAge(age)).toBe(text)
})

test('an exact time includes the date unless it is today', () => {
  const noon = new Date(2026, 4, 17, 12, 3, 4).getTime()
  expect(formatExactTime(noon, noon + 1_000)).toBe('12:03:04')
  expect(formatExactTime(noon, noon + 86_400_000)).toBe('2026-05-17 12:03:04')
})
