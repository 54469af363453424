import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { type Breaker, createBreaker, type Failure, type Pass } from './breaker.ts'

function open({ operations = 1, quiet = true, random = (): number => 0.5 } = {}) {
  const clock = new ManualClock()
  // In the middle of the spread, it stays open for exactly the given time.
  return { clock, breaker: createBreaker({ clock, operations, quiet, random }) }
}

function enter(breaker: Breaker, answerable = true): Pass {
  const pass = breaker.enter(answerable)
  if (pass === undefined) throw new Error('expected the breaker to let a call pass')
  return pass
}

const failure = (given: Partial<Failure> = {}): Failure => ({
  ...{ key: 'k', operation: 'o', client: 'c', answerable: true, unreachable: false },
  ...given,
})

/** Fails this many different requests that had an answer before. */
function fail(breaker: Breaker, times: number, given: Partial<Failure> = {}): void {
  for (let i = 0; i < times; i++)
    enter(breaker, given.answerable ?? true).failed(failure({ key: `k${i}`, client: `c${i}`, ...given }))
}

describe('a breaker', () => {
  test('admits all calls while they succeed', () => {
    const { breaker } = open()
    for (let i = 0; i < 100; i++) enter(breaker).succeeded()
    expect(breaker.state).toBe('closed')
    expect(breaker.wait(true)).toBe(0)
  })

  test('opens for a second when five requests known to have an answer fail without a success between', () => {
    const { breaker } = open()
    fail(breaker, 4)
    enter(breaker).succeeded()
    fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    enter(breaker).failed(failure({ key: 'fifth' }))
    expect(breaker.state).toBe('open')
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([1000, 1000])
    expect([breaker.enter(true), breaker.enter(false)]).toEqual([undefined, undefined])
  })

  test('counts a request once, however often it fails', () => {
    const { breaker } = open()
    for (let i = 0; i < 100; i++) enter(breaker).failed(failure())
    expect(breaker.state).toBe('closed')
  })

  test('opens at the fifth failed connection in a row, whatever the requests', () => {
    const { breaker } = open({ operations: 2, quiet: false })
    for (let i = 0; i < 5; i++) enter(breaker, false).failed(failure({ answerable: false, unreachable: true }))
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([1000, 1000])
  })

  test('of a provider needs two failing operations', () => {
    const { breaker } = open({ operations: 2, quiet: false })
    fail(breaker, 20)
    expect(breaker.state).toBe('closed')
    fail(breaker, 1, { key: 'other', operation: 'p' })
    expect(breaker.state).toBe('open')
  })

  test('limits requests without a known answer if they fail, and only while nothing succeeds', async () => {
    const { clock, breaker } = open()
    enter(breaker).succeeded()
    await clock.advance(9999)
    fail(breaker, 50, { answerable: false })
    expect(breaker.state).toBe('closed')
    await clock.advance(1)
    fail(breaker, 1, { answerable: false, key: 'more' })
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([0, 1000])
    // A request known to have an answer passes, and its success admits the others.
    enter(breaker, true).succeeded()
    expect(breaker.state).toBe('closed')
  })

  test('is not affected by one client alone, except by the poller, which stands for many', () => {
    const { breaker } = open()
    fail(breaker, 50, { answerable: false, client: 'one' })
    expect(breaker.state).toBe('closed')
    fail(breaker, 1, { answerable: false, client: 'poller' })
    expect(breaker.wait(false)).toBe(1000)
  })

  test('admits one request without a known answer a second while nothing succeeds, whatever the one before does', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5, { answerable: false })
    for (let second = 0; second < 20; second++) {
      await clock.advance(999)
      expect(breaker.enter(false)).toBeUndefined()
      await clock.advance(1)
      // A hanging request does not block the next.
      enter(breaker, false)
      expect([breaker.wait(false), breaker.enter(false), breaker.wait(true)]).toEqual([1000, undefined, 0])
    }
    await clock.advance(1000)
    enter(breaker, false).left()
    enter(breaker, false).succeeded()
    expect(breaker.state).toBe('closed')
  })

  test('has separate probes for each kind of request', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    await clock.advance(1000)
    enter(breaker, false).failed(failure({ answerable: false }))
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([0, 2000])
    enter(breaker, true).succeeded()
    enter(breaker, true).succeeded()
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([0, 0])
  })

  test('admits one probe at a time, and two successes close it', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    await clock.advance(999)
    expect(breaker.enter(true)).toBeUndefined()
    await clock.advance(1)
    expect(breaker.enter(true, false)).toBeUndefined()
    const first = enter(breaker)
    expect([breaker.enter(true), breaker.enter(true)]).toEqual([undefined, undefined])
    first.succeeded()
    expect(breaker.state).toBe('probing')
    const second = enter(breaker)
    expect(breaker.enter(true)).toBeUndefined()
    second.succeeded()
    expect(breaker.state).toBe('closed')
    for (let i = 0; i < 10; i++) enter(breaker)
  })

  test('doubles its time after each failed probe, up to five seconds', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    for (const wait of [1000, 2000, 4000, 5000, 5000]) {
      expect(breaker.wait(true)).toBe(wait)
      await clock.advance(wait)
      enter(breaker).failed(failure())
    }
  })

  test('admits another probe after an abandoned one', async () => {
    const { clock, breaker } = open()
    fail(breaker, 5)
    await clock.advance(1000)
    enter(breaker).left()
    expect(breaker).toMatchObject({ state: 'probing' })
    enter(breaker).succeeded()
    enter(breaker).succeeded()
    expect(breaker.state).toBe('closed')
  })

  test('ignores calls that began before it opened', async () => {
    const { clock, breaker } = open()
    const old = Array.from({ length: 4 }, () => enter(breaker))
    fail(breaker, 5)
    old[0]?.succeeded()
    await clock.advance(1000)
    enter(breaker)
    old[1]?.succeeded()
    old[2]?.left()
    old[3]?.failed(failure())
    expect(breaker.state).toBe('probing')
    expect(breaker.enter(true)).toBeUndefined()
  })

  test('stays open for as long as the upstream asks', async () => {
    const { clock, breaker } = open()
    breaker.pause(30_000, 'unanswered')
    expect([breaker.wait(true), breaker.wait(false)]).toEqual([0, 30_000])
    breaker.pause(30_000, 'all')
    await clock.advance(29_999)
    expect(breaker.enter(true)).toBeUndefined()
    await clock.advance(1)
    enter(breaker).succeeded()
  })

  test('spreads the probes of many nodes by a fifth either way', () => {
    const waits = [0, 1].map((random) => {
      const { breaker } = open({ random: () => random })
      fail(breaker, 5)
      return breaker.wait(true)
    })
    expect(waits).toEqual([800, 1200])
  })
})

/** A call of a generated sequence: client, request, and delay after the previous one. */
const story = fc.array(
  fc.record({
    good: fc.boolean(),
    key: fc.nat(40),
    client: fc.nat(3),
    after: fc.nat(300),
  }),
  { minLength: 50, maxLength: 400 },
)

describe('a breaker under any sequence of calls', () => {
  test('blocks no request known to have an answer because of others', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (calls) => {
        const { clock, breaker } = open()
        for (const { good, key, client, after } of calls) {
          await clock.advance(after)
          const pass = breaker.enter(good)
          if (good) expect(pass).toBeDefined()
          if (good) pass?.succeeded()
          else pass?.failed(failure({ answerable: false, key: `bad${key}`, client: `c${client}` }))
        }
      }),
      { numRuns: 30 },
    )
  })

  test('admits new requests as long as one succeeds every ten seconds', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (calls) => {
        const { clock, breaker } = open()
        let last = Number.NEGATIVE_INFINITY
        for (const { key, client, after } of calls) {
          await clock.advance(after)
          if (clock.monotonic() - last > 9000) {
            last = clock.monotonic()
            enter(breaker, true).succeeded()
          }
          enter(breaker, false).failed(failure({ answerable: false, key: `bad${key}`, client: `c${client}` }))
        }
      }),
      { numRuns: 30 },
    )
  })

  test('stops after five requests to an upstream that fails for all, and recovers within seven seconds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(1000), { minLength: 5, maxLength: 100 }), async (pauses) => {
        const { clock, breaker } = open()
        let passed = 0
        for (const [index, pause] of pauses.entries()) {
          await clock.advance(pause)
          const pass = breaker.enter(true)
          if (pass === undefined) continue
          passed += 1
          pass.failed(failure({ key: `k${index}` }))
        }
        // The time between probes grows: after 1, 3, 7, 12, 17, … seconds.
        const seconds = pauses.reduce((sum, pause) => sum + pause, 0) / 1000
        expect(passed).toBeLessThanOrEqual(5 + 3 + seconds / 5)
        await clock.advance(5000)
        enter(breaker).succeeded()
        enter(breaker).succeeded()
        expect(breaker.state).toBe('closed')
      }),
      { numRuns: 50 },
    )
  })
})
