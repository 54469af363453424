import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openWindow } from './window.ts'

const NEVER = Number.POSITIVE_INFINITY
const open = (limit = 10, pace = false, counts?: 'calls' | 'cost') =>
  openWindow({ limit, window: 1000, by: 'account', ...(counts === undefined ? {} : { counts }) }, pace)

describe('a window', () => {
  test('has room for its limit, and then only the end of a call can tell', () => {
    const window = open()
    window.use(10, 0)
    expect(window.earliest(1, 0, 1)).toBe(NEVER)
    window.freeLater(10, 10, 40)
    expect(window.earliest(1, 40, 1)).toBe(1040)
    expect(window.earliest(10, 1039, 1)).toBe(1040)
    expect(window.earliest(10, 1040, 1)).toBe(1040)
  })

  test('says when enough of what comes free has come free', () => {
    const window = open()
    window.use(10, 0)
    for (const [units, at] of [
      [2, 100],
      [3, 200],
      [5, 300],
    ] as const)
      window.freeLater(units, units, at)
    expect([1, 2, 3, 5, 6, 10].map((units) => window.earliest(units, 300, 1))).toEqual([
      1100, 1100, 1200, 1200, 1300, 1300,
    ])
  })

  test('a call that cost more than was thought takes the rest until a window after its end; one that cost less gives back', () => {
    const window = open()
    window.use(4, 0)
    window.freeLater(4, 9, 0)
    expect([window.earliest(1, 0, 1), window.earliest(2, 0, 1)]).toEqual([0, 1000])
    const other = open()
    other.use(9, 0)
    other.freeLater(9, 1, 0)
    expect(other.earliest(9, 0, 1)).toBe(0)
  })

  test('a cost beyond the limit, known too late, is waited off', () => {
    const window = open()
    window.use(1, 0)
    window.freeLater(1, 500, 0)
    expect(window.earliest(1, 0, 1)).toBe(1000)
    expect(window.earliest(10, 1000, 1)).toBe(1000)
  })

  test('counts calls as one each, where it counts calls', () => {
    expect([open(10, false, 'calls').units(500), open(10, false, 'cost').units(500), open().units(500)]).toEqual([
      1, 500, 500,
    ])
  })

  test('a share of the limit is whole, and at least one; what is larger than the share fits into an empty window', () => {
    const window = open()
    expect([window.earliest(3, 0, 0.39), window.earliest(10, 0, 0.1), window.earliest(1, 0, 0)]).toEqual([0, 0, 0])
    window.use(3, 0)
    expect(window.earliest(1, 0, 0.39)).toBe(NEVER)
    window.freeLater(3, 3, 0)
    expect(window.earliest(10, 0, 0.39)).toBe(1000)
  })

  test('a place given back is free at once', () => {
    const window = open()
    window.use(10, 0)
    window.free(10)
    expect(window.earliest(10, 0, 1)).toBe(0)
    expect(window.idle(0)).toBe(true)
  })

  test('is idle when a window has passed over all', () => {
    const window = open()
    window.use(1, 0)
    expect(window.idle(10_000)).toBe(false)
    window.freeLater(1, 1, 10_000)
    expect([window.idle(10_999), window.idle(11_000)]).toEqual([false, true])
  })

  test('counts right over a million calls', () => {
    const window = open(1000)
    let now = 0
    for (let i = 0; i < 1_000_000; i++) {
      now = window.earliest(1, now, 1)
      window.use(1, now)
      window.freeLater(1, 1, now)
    }
    expect(now).toBe(999_000)
  })
})

describe('what others use', () => {
  test('is what is missing, and is believed for one window', () => {
    const window = open()
    window.use(2, 0)
    window.sync(5, 0)
    expect([window.earliest(5, 0, 1), window.earliest(6, 0, 1)]).toEqual([0, 1000])
    expect(window.idle(0)).toBe(false)
  })

  test('is told anew by each answer, and is never less than nothing', () => {
    const window = open()
    window.sync(0, 0)
    window.sync(100, 10)
    expect(window.earliest(10, 10, 1)).toBe(10)
    window.sync(-3, 20)
    expect(window.earliest(1, 20, 1)).toBe(1020)
  })

  test('comes free among our own at its moment, once', () => {
    const window = open()
    window.use(10, 0)
    window.freeLater(5, 5, -900)
    window.freeLater(5, 5, -100)
    window.sync(-5, -500)
    // 15 are used: 5 come free at 100, the 5 of others at 500, 5 at 900.
    expect([1, 5, 6, 10].map((units) => window.earliest(units, 0, 1))).toEqual([500, 500, 900, 900])
  })

  test('the earliest moment is the first at which there is room', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ units: fc.integer({ min: 1, max: 4 }), ended: fc.option(fc.integer({ min: 0, max: 900 })) }),
        ),
        fc.option(fc.record({ left: fc.integer({ min: -3, max: 10 }), at: fc.integer({ min: 0, max: 900 }) })),
        fc.integer({ min: 1, max: 10 }),
        (calls, word, units) => {
          const window = open()
          let used = 0
          for (const call of calls) {
            window.use(call.units, 0)
            used += call.units
          }
          const ends = calls.flatMap(({ units, ended }) => (ended === null ? [] : [{ units, at: ended + 1000 }]))
          ends.sort((a, b) => a.at - b.at)
          for (const { units, at } of ends) window.freeLater(units, units, at - 1000)
          if (word !== null) window.sync(word.left, word.at)
          const others = word === null ? 0 : Math.max(0, 10 - word.left - used)
          const room = (now: number) =>
            10 -
            used +
            ends.filter(({ at }) => at <= now).reduce((sum, end) => sum + end.units, 0) -
            (word !== null && now < word.at + 1000 ? others : 0)
          const moments = [900, ...ends.map(({ at }) => at), ...(word === null ? [] : [word.at + 1000])].sort(
            (a, b) => a - b,
          )
          expect(window.earliest(units, 900, 1)).toBe(moments.find((now) => room(now) >= units) ?? NEVER)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('a paced window', () => {
  test('spreads starts, a little closer than even', () => {
    const window = open(10, true)
    const starts: number[] = []
    for (let now = 0; starts.length < 10; ) {
      now = window.earliest(1, now, 1)
      window.use(1, now)
      starts.push(now)
    }
    expect(starts).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((index) => Math.max(0, (index - 1) * 80)))
    expect(window.earliest(1, 900, 1)).toBe(NEVER)
  })

  test('a late timer does not slow it, and a pause saves up one start only', () => {
    const window = open(10, true)
    window.use(1, 0)
    window.use(1, 105)
    expect(window.earliest(1, 105, 1)).toBe(105)
    window.use(1, 5000)
    expect(window.earliest(1, 5000, 1)).toBe(5000)
    window.use(1, 5000)
    expect(window.earliest(1, 5000, 1)).toBe(5080)
  })

  test('a large cost is followed by a long pause, and a small share by longer ones', () => {
    const window = open(10, true)
    window.use(5, 0)
    window.use(1, 0)
    expect(window.earliest(1, 0, 1)).toBe(80)
    const slowed = open(10, true)
    slowed.earliest(1, 0, 0.5)
    slowed.use(1, 0)
    slowed.use(1, 0)
    expect(slowed.earliest(1, 0, 0.5)).toBe(160)
  })
})
