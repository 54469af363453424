import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import type { Grant, MeterPlan, Want } from '../ports.ts'
import { memoryMeters } from './meters.ts'

const SECOND = { limit: 50, window: 1000, by: 'account' } as const
const DAY = { limit: 100_000, window: 86_400_000, by: 'account' } as const

function open(plan: Partial<MeterPlan> = {}) {
  const clock = new ManualClock()
  const meter = memoryMeters(clock).open('upstream', { limits: [SECOND], keys: 1, pastUsage: 'none', ...plan })
  const take = (count: number, want: Partial<Want> = {}) => {
    const wants = Array.from({ length: count }, () => ({ priority: 'live' as const, cost: 1, ...want }))
    const grants = meter.acquire(wants)
    if (grants instanceof Promise) throw new Error('expected memory to decide at once')
    return grants
  }
  /** Calls that take no time, as many as may start. */
  const call = (count = 1000, want: Partial<Want> = {}): readonly Grant[] => {
    const { granted } = take(count, want)
    for (const grant of granted) meter.release(grant)
    return granted
  }
  return { clock, meter, take, call }
}

describe('the back-off', () => {
  test('takes a share of the limit, which creeps back', async () => {
    const { clock, meter, call } = open()
    meter.backOff()
    const after: number[] = []
    for (let second = 0; second < 8; second++) {
      after.push(call().length)
      await clock.advance(1000)
    }
    expect(after).toEqual([...after].sort((a, b) => a - b))
    expect([after[0], after[3], after[7]]).toEqual([35, 42, 50])
  })

  test('counts the refusals of one burst once', () => {
    const { meter, call } = open()
    for (let i = 0; i < 50; i++) meter.backOff()
    expect(call()).toHaveLength(35)
  })

  test('neither collapses nor runs away in an hour of noise', async () => {
    const { clock, meter, call } = open()
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    let calls = 0
    for (let second = 0; second < 3600; second++) {
      const granted = call().length
      calls += granted
      expect(granted).toBeGreaterThanOrEqual(5)
      expect(granted).toBeLessThanOrEqual(50)
      // One call in two hundred is refused, for no reason.
      for (let i = 0; i < granted; i++) if (random() < 0.005) meter.backOff()
      await clock.advance(1000)
    }
    expect(calls).toBeGreaterThan(0.6 * 3600 * 50)
    for (let second = 0; second < 30; second++) {
      call()
      await clock.advance(1000)
    }
    expect(call()).toHaveLength(50)
  })

  test('finds what an upstream really takes, when that is less than was said', async () => {
    const { clock, meter, call } = open()
    let served = 0
    for (let second = 0; second < 600; second++) {
      const granted = call().length
      served += Math.min(granted, 30)
      if (granted > 30) meter.backOff()
      await clock.advance(1000)
    }
    expect(served).toBeGreaterThan(0.8 * 600 * 30)
  })

  test('however often refused, a tenth is left', async () => {
    const { clock, meter, call } = open()
    for (let i = 0; i < 100; i++) {
      meter.backOff()
      await clock.advance(1000)
    }
    meter.backOff()
    expect(call()).toHaveLength(5)
  })

  test('is over as soon beside a limit by the day', async () => {
    const { clock, meter, call } = open({ limits: [SECOND, DAY] })
    meter.backOff()
    await clock.advance(10_000)
    expect(call()).toHaveLength(50)
  })
})

describe('what the upstream says is left', () => {
  test('leaves room for others who use the same key', () => {
    const { meter, call } = open()
    call(10)
    meter.syncRemaining({ calls: 25 }, 0)
    expect(call()).toHaveLength(25)
  })

  test('is of the longest window', () => {
    const { meter, take } = open({ limits: [SECOND, DAY] })
    meter.syncRemaining({ calls: 20 }, 0)
    expect(take(50).granted).toHaveLength(20)
  })

  test('is of calls, and says nothing of tokens that are counted beside them', () => {
    const tokens = { limit: 90_000, window: 60_000, by: 'account', counts: 'cost' } as const
    const calls = { limit: 500, window: 60_000, by: 'account', counts: 'calls' } as const
    const { meter, take } = open({ limits: [tokens, calls] })
    meter.syncRemaining({ calls: 3 }, 0)
    expect(take(5, { cost: 20_000 }).granted).toHaveLength(3)
  })

  test("of one key is not of another's", () => {
    const { meter, take } = open({ limits: [{ ...SECOND, by: 'key' }], keys: 2 })
    meter.syncRemaining({ calls: 0 }, 0)
    expect(new Set(take(60).granted.map(({ key }) => key))).toEqual(new Set([1]))
  })
})

describe('an unknown past of a long window', () => {
  test('is probed by one call at a time, until an answer tells what is left', async () => {
    const { meter, take } = open({ limits: [DAY], pastUsage: 'unknown' })
    const [probe] = take(5).granted
    expect(take(5).granted).toEqual([])
    expect(take(5).wait).toBe(100)
    if (probe === undefined) throw new Error('expected a probe')
    meter.syncRemaining({ calls: 7 }, probe.key)
    meter.release(probe)
    expect(take(50).granted).toHaveLength(7)
  })

  test('where nothing is told, calls go one at a time until it is over', async () => {
    const { clock, meter, take } = open({ limits: [{ ...SECOND, window: 60_000 }], pastUsage: 'unknown' })
    for (let i = 0; i < 10; i++) {
      const { granted } = take(5)
      expect(granted).toHaveLength(1)
      for (const grant of granted) meter.release(grant)
      await clock.advance(6025)
    }
    expect(take(5).granted).toHaveLength(5)
  })

  test('of a short window is waited off; a process restarted inside it spends it once', async () => {
    const { clock, call } = open({ pastUsage: 'unknown' })
    await clock.advance(1249)
    expect(call()).toHaveLength(0)
    await clock.advance(1)
    expect(call()).toHaveLength(50)
  })
})

describe('costs', () => {
  test('larger than fits are refused for good, where they are counted', () => {
    const { take } = open({ limits: [{ ...SECOND, limit: 100 }] })
    expect(take(1, { cost: 101 })).toMatchObject({ granted: [], never: 'too large' })
    expect(take(1, { cost: 100 }).granted).toHaveLength(1)
    expect(open({ limits: [{ ...SECOND, counts: 'calls' }] }).take(1, { cost: 1e9 }).granted).toHaveLength(1)
  })

  test('larger than the limit of another lane are not refused', () => {
    const { take } = open({ limits: [SECOND, { ...SECOND, limit: 5, lane: 'small' }] })
    expect(take(1, { cost: 20, lane: 'large' }).granted).toHaveLength(1)
    expect(take(1, { cost: 20, lane: 'small' }).never).toBe('too large')
  })
})

describe('lanes', () => {
  const limits = [SECOND, { ...SECOND, limit: 2, lane: 'search' }, { ...SECOND, limit: 10, lane: '*' }]

  test('each has its own limit beside that of all', () => {
    const { take } = open({ limits })
    const lanes = ['search', 'a', 'b', 'c', 'd', 'e', 'f']
    expect(lanes.map((lane) => take(50, { lane }).granted.length)).toEqual([2, 10, 10, 10, 10, 8, 0])
  })

  test('one that is full holds up itself alone', () => {
    const { meter } = open({ limits })
    const wants = ['search', 'search', 'search', 'a', 'search', 'a'].map((lane) => ({
      priority: 'live' as const,
      cost: 1,
      lane,
    }))
    expect(meter.acquire(wants)).toMatchObject({ granted: ['search', 'search', 'a', 'a'].map((lane) => ({ lane })) })
  })

  test('those that count nothing any more are forgotten, those that do are not', async () => {
    const { clock, call } = open({ limits: [{ ...SECOND, limit: 1, lane: '*' }] })
    call(1, { lane: 'kept' })
    for (let i = 0; i < 999; i++) call(1, { lane: `${i}` })
    call(1, { lane: 'new' })
    expect(call(1, { lane: 'kept' })).toHaveLength(0)
    await clock.advance(1000)
    for (let i = 0; i < 3000; i++) expect(call(1, { lane: `later ${i}` })).toHaveLength(1)
  })
})

describe('keys', () => {
  test('a spent one is never used again, and when all are there is nothing to wait for', async () => {
    const { clock, meter, take } = open({ limits: [{ ...SECOND, by: 'key' }], keys: 3 })
    meter.exhaustKey(1)
    expect(new Set(take(60).granted.map(({ key }) => key))).toEqual(new Set([0, 2]))
    await clock.advance(100_000)
    meter.exhaustKey(0)
    meter.exhaustKey(2)
    expect(take(1)).toMatchObject({ granted: [], never: 'exhausted' })
  })
})
