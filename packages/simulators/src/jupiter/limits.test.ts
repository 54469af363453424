import { array, assert, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Meter } from './limits.ts'
import { PLANS, planLimit } from './plans.ts'

describe('a meter', () => {
  test('grants as many as fit in any window, and never refuses when there is a place', () => {
    const gaps = array(integer({ min: 0, max: 60 }), { maxLength: 400, size: 'max' })
    assert(
      property(gaps, integer({ min: 1, max: 30 }), (between, calls) => {
        const meter = new Meter({ calls, span: 1_000 })
        const granted: number[] = []
        let now = 0
        for (const gap of between) {
          now += gap
          const room = granted.filter((at) => at > now - 1_000).length < calls
          expect(meter.arrive(now, false).granted).toBe(room)
          if (room) granted.push(now)
        }
      }),
    )
  })

  test('refused calls hold no place, but show', () => {
    const meter = new Meter({ calls: 2, span: 1_000 })
    expect(meter.arrive(0, false)).toEqual({ granted: true, current: 1, remaining: 1, freeIn: 1_000 })
    expect(meter.arrive(300, false)).toEqual({ granted: true, current: 2, remaining: 0, freeIn: 700 })
    expect(meter.arrive(600, false)).toEqual({ granted: false, current: 3, remaining: -1, freeIn: 400 })
    expect(meter.arrive(999, false)).toEqual({ granted: false, current: 4, remaining: -2, freeIn: 1 })
    expect(meter.arrive(1_000, false).granted).toBe(true)
  })

  test('a barred call is refused and takes no place', () => {
    const meter = new Meter({ calls: 1, span: 1_000 })
    expect(meter.arrive(0, true).granted).toBe(false)
    expect(meter.arrive(1, false).granted).toBe(true)
  })
})

test('the limits are those of the price list', () => {
  const limits = Object.values(PLANS).map((plan) => [planLimit(plan, false), planLimit(plan, true)])
  expect(limits).toEqual([
    [
      { calls: 30, span: 60_000 },
      { calls: 1, span: 2_000 },
    ],
    [
      { calls: 60, span: 60_000 },
      { calls: 1, span: 1_000 },
    ],
    [
      { calls: 600, span: 60_000 },
      { calls: 10, span: 1_000 },
    ],
    [
      { calls: 3_000, span: 60_000 },
      { calls: 50, span: 1_000 },
    ],
    [
      { calls: 9_000, span: 60_000 },
      { calls: 150, span: 1_000 },
    ],
  ])
})
