import { array, assert, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ArrivalTally } from './tally.ts'
import { SlidingWindow } from './window.ts'

const gaps = array(integer({ min: 0, max: 400 }), { maxLength: 300, size: 'max' })

/** Arrival times from the gaps between them. */
function timesOf(between: readonly number[]): readonly number[] {
  let now = 0
  return between.map((gap) => {
    now += gap
    return now
  })
}

describe('a sliding window', () => {
  test('counts what a brute-force count counts, at every event and between', () => {
    assert(
      property(gaps, integer({ min: 1, max: 2_000 }), (apart, span) => {
        const window = new SlidingWindow(span)
        const times = timesOf(apart)
        times.forEach((at, index) => {
          const past = times.slice(0, index + 1)
          expect(window.add(at)).toBe(past.filter((time) => time > at - span).length)
          const between = (at + (times[index + 1] ?? at + 500)) / 2
          expect(window.count(between)).toBe(past.filter((time) => time > between - span).length)
        })
      }),
    )
  })

  test('an event leaves when it is exactly as old as the window is long', () => {
    const window = new SlidingWindow(1_000)
    window.add(0)
    expect(window.untilOldestLeaves(400)).toBe(600)
    expect(window.count(999.999)).toBe(1)
    expect(window.count(1_000)).toBe(0)
    expect(window.untilOldestLeaves(1_000)).toBe(1_000)
  })

  test('keeps its order while the ring wraps and grows', () => {
    const window = new SlidingWindow(100)
    const times = [...Array.from({ length: 50 }, (_, at) => at), ...Array.from({ length: 200 }, (_, at) => 120 + at)]
    times.forEach((at, index) => {
      const inside = times.slice(0, index + 1).filter((time) => time > at - 100)
      expect([window.add(at), window.untilOldestLeaves(at)]).toEqual([inside.length, (inside[0] ?? at) + 100 - at])
    })
  })
})

test('the most arrivals in any second is the most of all windows, wherever they begin', () => {
  assert(
    property(gaps, (between) => {
      const tally = new ArrivalTally()
      const times = timesOf(between)
      for (const at of times) tally.arrive(at, 'served')
      const most = (span: number) =>
        times.reduce((best, from) => Math.max(best, times.filter((at) => at >= from && at < from + span).length), 0)
      const { mostIn1s, mostIn60s, asked } = tally.arrivals()
      expect([mostIn1s, mostIn60s, asked]).toEqual([most(1_000), most(60_000), times.length])
    }),
  )
})
