import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLiveShare } from './live-share.ts'

describe('an allotment', () => {
  test('gives each wish while all together fit into the capacity', () => {
    const allotment = createLiveShare(() => 10)
    expect(allotment.allot({}, 4)).toBe(4)
    expect(allotment.allot({}, 6)).toBe(6)
  })

  test('gives each its proportional part if they wish for too much', () => {
    const allotment = createLiveShare(() => 10)
    const [a, b] = [{}, {}]
    allotment.allot(a, 30)
    expect(allotment.allot(b, 10)).toBe(2.5)
    expect(allotment.allot(a, 30)).toBe(7.5)
  })

  test('gives to the others what one no longer wishes for', () => {
    const allotment = createLiveShare(() => 10)
    const [a, b] = [{}, {}]
    allotment.allot(a, 30)
    allotment.allot(a, 0)
    expect(allotment.allot(b, 10)).toBe(10)
  })

  test('follows a capacity that changes', () => {
    let capacity = 10
    const allotment = createLiveShare(() => capacity)
    const a = {}
    expect(allotment.allot(a, 10)).toBe(10)
    capacity = 5
    expect(allotment.allot(a, 10)).toBe(5)
  })

  test('never gives more than there is, nor more than was wished for', () => {
    const wishes = fc.array(fc.tuple(fc.nat(5), fc.double({ min: 0, max: 1000, noNaN: true })), { minLength: 1 })
    fc.assert(
      fc.property(wishes, fc.double({ min: 0.1, max: 100, noNaN: true }), (wishes, capacity) => {
        const who = Array.from({ length: 6 }, () => ({}))
        const allotment = createLiveShare(() => capacity)
        for (const [index, wish] of wishes) allotment.allot(who[index] ?? {}, wish)
        const last = who.map((one, index) => [one, wishes.findLast(([i]) => i === index)?.[1] ?? 0] as const)
        const given = last.map(([one, wish]) => ({ wish, given: allotment.allot(one, wish) }))
        const all = given.reduce((sum, { given }) => sum + given, 0)
        expect(all).toBeLessThanOrEqual(Math.max(capacity * (1 + 1e-9), 0))
        // The least numbers that there are have no share that a double could hold.
        for (const one of given) expect(one.given).toBeLessThanOrEqual(one.wish * (1 + 1e-9) + 1e-300)
      }),
    )
  })
})
