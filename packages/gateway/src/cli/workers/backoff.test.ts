import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Backoff } from './backoff.ts'

test('each exit in a row doubles the longest pause, up to ten seconds', () => {
  const backoff = new Backoff(() => 1)
  const pauses = Array.from({ length: 9 }, () => backoff.pause(50))
  expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
})

test('an exit after half a minute starts a new row', () => {
  const backoff = new Backoff(() => 1)
  for (let i = 0; i < 5; i++) backoff.pause(50)
  expect(backoff.pause(29_999)).toBe(3200)
  expect(backoff.pause(30_000)).toBe(100)
  expect(backoff.pause(50)).toBe(200)
})

test('a pause is random, up to the longest', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 20 }), (random, exits) => {
      const backoff = new Backoff(() => random)
      for (let i = 0; i < exits; i++) backoff.pause(0)
      const pause = backoff.pause(0)
      expect(pause).toBeCloseTo(random * Math.min(10_000, 100 * 2 ** exits), 6)
    }),
  )
})
