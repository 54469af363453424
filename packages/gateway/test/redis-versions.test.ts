import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import type { Grant, Meter, MeterLimit, MeterPlan } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { RedisNodes } from './redis-nodes.ts'
import { mostWithin, slowRoad } from './slow-road.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await redisServer()
})
afterAll(() => redis?.[Symbol.asyncDispose]())

const account = (limit: number, window: number, more: Partial<MeterLimit> = {}): MeterLimit => ({
  ...{ limit, window, by: 'account' },
  ...more,
})

/** Nodes of different versions, on one upstream of their own. */
function versions() {
  const prefix = randomUUID()
  const all: ReturnType<typeof redisBackend>[] = []
  const told: string[] = []
  return {
    told,
    node(limits: readonly MeterLimit[], given: Partial<MeterPlan> = {}) {
      const name = `node-${all.length}`
      const backend = redisBackend({
        ...{ url: redis.url, prefix, node: name, deadline: 5000, slack: 600, report: () => {} },
        mixed: (_upstream, limits) =>
          told.push(`${name}: ${limits.map(({ limit, window }) => `${limit}/${window}`).sort()}`),
      })
      all.push(backend)
      const meter = backend.meters.open('upstream', { limits, keys: 1, pastUsage: 'none', timeout: 300, ...given })
      return { meter, leave: () => backend.close() }
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all(all.map((backend) => backend.close()))),
  }
}

/** What is granted at once, of so many. */
async function take(meter: Meter, count: number, lane?: string): Promise<readonly Grant[]> {
  const want = { priority: 'interactive' as const, cost: 1, ...(lane !== undefined && { lane }) }
  return (await meter.acquire(Array.from({ length: count }, () => want))).granted
}

/** Until both know each other, so that both may be granted something. */
async function met(...meters: readonly Meter[]): Promise<void> {
  for (const meter of meters) {
    await expect
      .poll(
        async () => {
          const granted = await take(meter, 1)
          for (const grant of granted) meter.cancel(grant)
          return granted.length
        },
        { timeout: 10_000 },
      )
      .toBe(1)
  }
  // What they gave back has been told.
  await sleep(200)
}

describe('versions with other limits on one Redis', () => {
  test('that list the same limits in another order share them', async () => {
    await using shared = versions()
    const one = shared.node([account(10, 1000), account(24, 60_000)])
    const other = shared.node([account(24, 60_000), account(10, 1000)])
    await met(one.meter, other.meter)
    expect(await take(one.meter, 6)).toHaveLength(6)
    expect(await take(other.meter, 20)).toHaveLength(4)
    expect(shared.told).toEqual([])
  })

  test('have the smaller of one kind, are both served, and both say so once; the larger is back when the other is gone', async () => {
    await using shared = versions()
    const large = shared.node([account(10, 800)])
    await met(large.meter)
    const small = shared.node([account(4, 800)])
    await met(small.meter, large.meter)
    await sleep(900)
    expect(await take(large.meter, 10)).toHaveLength(4)
    expect(await take(small.meter, 10)).toHaveLength(0)
    expect(shared.told.toSorted()).toEqual(['node-0: 4/800', 'node-1: 4/800'])
    await small.leave()
    expect(await take(large.meter, 10)).toHaveLength(6)
  })

  test('have limits that only one of them has', async () => {
    await using shared = versions()
    const plain = shared.node([account(8, 500)])
    await met(plain.meter)
    const laned = shared.node([account(8, 500), account(2, 500, { lane: 'search' })])
    await met(laned.meter, plain.meter)
    await sleep(600)
    expect(await take(plain.meter, 8, 'search')).toHaveLength(2)
    expect(await take(laned.meter, 8, 'search')).toHaveLength(0)
    expect(await take(laned.meter, 8, 'other')).toHaveLength(6)
    await laned.leave()
    await sleep(600)
  })

  test('a shorter window that comes later knows what the longer one counted, and one of which nothing is known is full at first', async () => {
    await using shared = versions()
    const old = shared.node([account(20, 3000)])
    await met(old.meter)
    const grants = await take(old.meter, 12)
    expect(grants).toHaveLength(12)
    for (const grant of grants) old.meter.release(grant)
    const shorter = shared.node([account(20, 3000), account(14, 2000)])
    // The twelve are in the shorter one too.
    await expect.poll(() => take(shorter.meter, 14), { timeout: 2500, interval: 50 }).toHaveLength(2)
    const laned = shared.node([account(20, 3000), account(5, 4000, { lane: 'search' })])
    const begun = performance.now()
    await expect.poll(() => take(laned.meter, 1, 'search'), { timeout: 10_000, interval: 50 }).toHaveLength(1)
    expect(performance.now() - begun).toBeGreaterThan(3500)
  })

  test('count each key by its name, whatever its place in their lists', async () => {
    await using shared = versions()
    const limits = [account(3, 60_000, { by: 'key' })]
    const one = shared.node(limits, { keys: 2, names: ['a', 'b'] })
    const other = shared.node(limits, { keys: 2, names: ['b', 'a'] })
    await met(one.meter, other.meter)
    const first = await take(one.meter, 6)
    expect(first).toHaveLength(6)
    expect(await take(other.meter, 1)).toEqual([])
    one.meter.exhaustKey(0)
    await sleep(300)
    for (const grant of first) one.meter.cancel(grant)
    await sleep(300)
    // What is used up is a, which is the second of the other.
    expect((await take(other.meter, 3)).map(({ key }) => key)).toEqual([0, 0, 0])
  })
})

const LOOSE = [account(20, 1000)]
const STRICT = [account(24, 3000), account(10, 1000)]
const ORDERS = [
  ['the stricter comes', LOOSE, STRICT],
  ['the looser comes', STRICT, LOOSE],
] as const
const ENDS = [
  ['goes first', 'SIGTERM', 0],
  ['goes again', 'SIGTERM', 1],
  ['is killed first', 'SIGKILL', 0],
  ['is killed again', 'SIGKILL', 1],
] as const

describe('two processes of different versions, counted at the upstream', () => {
  const cases = ORDERS.flatMap(([comes, first, second]) =>
    ENDS.map(([ends, signal, index]) => ({
      comes,
      first,
      second,
      ends: `the ${index === 0 ? 'first' : 'second'} ${ends}`,
      signal,
      index,
    })),
  )
  test.each(cases)(
    '$comes and $ends: the stricter holds, and neither starves',
    async ({ first, second, signal, index }) => {
      await using own = await redisServer()
      await using road = await slowRoad({
        ...{ limit: 20, window: 1000, travel: { mean: 20, spread: 10 }, stall: { every: 60_000, for: 0 } },
      })
      await using nodes = new RedisNodes({
        ...{ redis: own.url, upstream: road.url, limit: 20, window: 1000, waiting: 20, timeout: 500 },
      })
      nodes.start(0, { limits: first })
      await expect.poll(() => nodes.answered(0), { timeout: 15_000 }).toBeGreaterThan(5)
      nodes.start(1, { limits: second })
      await expect.poll(() => nodes.answered(1), { timeout: 20_000 }).toBeGreaterThan(5)
      const both = road.arrivals.length
      const before = nodes.answered(0)
      await expect.poll(() => nodes.answered(0), { timeout: 20_000 }).toBeGreaterThan(before + 3)
      await sleep(3000)
      const together = road.arrivals.slice(both)
      nodes.signal(index, signal)
      const left = 1 - index
      const then = nodes.answered(left)
      await expect.poll(() => nodes.answered(left), { timeout: 20_000 }).toBeGreaterThan(then + 5)
      expect(together.length).toBeGreaterThan(10)
      expect(mostWithin(together, 1000)).toBeLessThanOrEqual(10)
      expect(mostWithin(together, 3000)).toBeLessThanOrEqual(24)
      expect(mostWithin(road.arrivals, 1000)).toBeLessThanOrEqual(20)
      expect(road.refusals).toEqual([])
    },
    90_000,
  )
})
