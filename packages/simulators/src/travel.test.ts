import { expect, test } from 'vitest'
import { travelling } from './travel.ts'

test('travel stays within mean plus or minus spread, and repeats with the seed', () => {
  const options = { travel: { mean: 25, spread: 15 } }
  const delays = Array.from({ length: 500 }, (_, step) => step).map(travelling(options, 7, 0))
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(10)
  expect(Math.min(...delays)).toBeLessThan(12)
  expect(Math.max(...delays)).toBeLessThanOrEqual(40)
  expect(Math.max(...delays)).toBeGreaterThan(38)
  expect(Array.from({ length: 500 }, (_, step) => step).map(travelling(options, 7, 0))).toEqual(delays)
})

test('a stall holds the calls that meet it and lets them all arrive at one moment', () => {
  const travel = travelling({ travel: { mean: 20, spread: 0 }, stalls: [{ every: 1_000, for: 150 }] }, 1, 5_000)
  const arrivals = [5_000, 5_829, 5_830, 5_900, 5_979, 5_980].map((at) => at + travel(at))
  expect(arrivals).toEqual([5_020, 5_849, 6_000, 6_000, 6_000, 6_000])
})

test('stalls of several kinds hold what meets any of them', () => {
  const stalls = [
    { every: 1_000, for: 150 },
    { every: 10_000, for: 2_000 },
  ]
  const travel = travelling({ stalls }, 1, 0)
  const arrivals = [900, 7_840, 7_900, 8_100, 9_990, 10_100].map((at) => at + travel(at))
  expect(arrivals).toEqual([1_000, 7_840, 10_000, 10_000, 10_000, 10_100])
})

test('with neither, calls arrive at once', () => {
  expect(travelling({}, 1, 0)(123)).toBe(0)
})
