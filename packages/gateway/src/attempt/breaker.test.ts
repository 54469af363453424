import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { type Breaker, createBreaker, type Pass } from './breaker.ts'

function open() {
  const clock = new ManualClock()
  // In the middle of the spread, it stays open for exactly as long as is said.
  return { clock, breaker: createBreaker(clock, () => 0.5) }
}

function enter(breaker: Breaker): Pass {
  const pass = breaker.enter()
  if (pass === undefined) throw new Error('expected the breaker to let a call pass')
  return pass
}

function fail(breaker: Breaker, times: number): void {
  for (let i = 0; i < times; i++) enter(breaker).failed()
}

describe('a breaker', () => {
  test('lets all pass while calls succeed', () => {
    const { breaker } = open()
    for (let i = 0; i < 100; i++) enter(breaker).succeeded()
    expect(breaker).toMatchObject({ state: 'closed', wait: 0 })
  })

  test('opens at the fifth failure in a row, for a second', () => {
    const { breaker } = open()
    fail(breaker, 4)
    enter(breaker).succeeded()
    fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    fail(breaker, 1)
    expect(breaker).toMatchObject({ state: 'open', wait: 1000 })
    expect(breaker.enter()).toBeUndefined()
  })

  test('opens when half of the last twenty failed', () => {
    const { breaker } = open()
    for (let i = 0; i < 9; i++) {
      enter(breaker).failed()
      enter(breaker).succeeded()
    }
    enter(breaker).succeeded()
    expect(breaker.state).toBe('closed')
    fail(breaker, 1)
    expect(breaker.state).toBe('open')
  })

  test('lets one probe pass at a time, and two that succeed close it', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    await clock.advance(999)
    expect(breaker.enter()).toBeUndefined()
    await clock.advance(1)
    const first = enter(breaker)
    expect([breaker.enter(), breaker.enter()]).toEqual([undefined, undefined])
    first.succeeded()
    expect(breaker.state).toBe('probing')
    const second = enter(breaker)
    expect(breaker.enter()).toBeUndefined()
    second.succeeded()
    expect(breaker.state).toBe('closed')
    for (let i = 0; i < 10; i++) enter(breaker)
  })

  test('a probe that fails opens it for twice as long, up to half a minute', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    for (const wait of [1000, 2000, 4000, 5000, 5000]) {
      expect(breaker.wait).toBe(wait)
      await clock.advance(wait)
      enter(breaker).failed()
    }
  })

  test('a probe that was given up makes room for another', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    await clock.advance(1000)
    enter(breaker).left()
    expect(breaker).toMatchObject({ state: 'probing', wait: 0 })
    enter(breaker).succeeded()
    enter(breaker).succeeded()
    expect(breaker.state).toBe('closed')
  })

  test('calls that began before it opened neither close it nor let a second probe pass', async () => {
    const { clock, breaker } = open()
    const old = Array.from({ length: 4 }, () => enter(breaker))
    fail(breaker, 5)
    old[0]?.succeeded()
    await clock.advance(1000)
    enter(breaker)
    old[1]?.succeeded()
    old[2]?.left()
    old[3]?.failed()
    expect(breaker.state).toBe('probing')
    expect(breaker.enter()).toBeUndefined()
  })

  test('probes of many nodes are spread by a fifth either way', () => {
    const waits = [0, 1].map((random) => {
      const breaker = createBreaker(new ManualClock(), () => random)
      fail(breaker, 5)
      return breaker.wait
    })
    expect(waits).toEqual([800, 1200])
  })
})
