import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import { RedisNodes } from './redis-nodes.ts'
import { mostWithin, slowRoad } from './slow-road.ts'

const LIMIT = 50
const WINDOW = 1000

test('four processes stay within one budget while one is killed, one freezes and Redis forgets everything', async () => {
  await using redis = await redisServer()
  await using road = await slowRoad({
    ...{ limit: LIMIT, window: WINDOW, travel: { mean: 25, spread: 15 }, stall: { every: 2000, for: 150 } },
  })
  await using nodes = new RedisNodes({
    ...{ redis: redis.url, upstream: road.url, limit: LIMIT, window: WINDOW, waiting: 40, timeout: 500 },
  })
  for (let index = 0; index < 4; index++) nodes.start(index)
  await expect.poll(() => road.arrivals.length, { timeout: 15_000 }).toBeGreaterThan(0)

  await sleep(2000)
  const undisturbed = road.arrivals.length
  nodes.signal(0, 'SIGKILL')
  await sleep(1000)
  nodes.signal(1, 'SIGSTOP')
  await sleep(900)
  nodes.signal(1, 'SIGCONT')
  await sleep(1000)
  await redis.flush()
  const flushed = road.arrivals.length
  await sleep(4000)

  expect(mostWithin(road.arrivals, WINDOW)).toBeLessThanOrEqual(LIMIT)
  expect(road.refusals).toEqual([])
  // Far less than is reachable, for a busy machine: how much is used is measured by bench/budget-nodes.ts.
  expect(undisturbed).toBeGreaterThan(LIMIT)
  expect(road.arrivals.length - flushed).toBeGreaterThan(LIMIT / 2)
}, 60_000)

test('three processes stay within one budget while Redis stops for 2 s, may not write, and starts again empty', async () => {
  await using redis = await redisServer()
  await using road = await slowRoad({
    ...{ limit: LIMIT, window: WINDOW, travel: { mean: 25, spread: 15 }, stall: { every: 7000, for: 2000 } },
  })
  await using nodes = new RedisNodes({
    ...{ redis: redis.url, upstream: road.url, limit: LIMIT, window: WINDOW, waiting: 40, timeout: 3000 },
  })
  const admin = createClient({ url: redis.url })
  admin.on('error', () => {})
  await admin.connect()
  for (let index = 0; index < 3; index++) nodes.start(index)
  /** It goes on: more arrives than had, however long that takes a busy machine. */
  const goesOn = async () => {
    const before = road.arrivals.length
    await expect.poll(() => road.arrivals.length, { timeout: 20_000 }).toBeGreaterThan(before + LIMIT / 2)
  }
  await goesOn()
  redis.freeze()
  await sleep(2000)
  redis.thaw()
  await goesOn()
  await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1'])
  await sleep(1000)
  await admin.sendCommand(['REPLICAOF', 'NO', 'ONE'])
  await admin.scriptFlush()
  await goesOn()
  admin.destroy()
  await redis.kill()
  await sleep(1000)
  await redis.start()
  await goesOn()
  await sleep(2000)

  expect(mostWithin(road.arrivals, WINDOW)).toBeLessThanOrEqual(LIMIT)
  expect(road.refusals).toEqual([])
}, 120_000)

test('a process that is killed and started again inside its window does not spend the window twice', async () => {
  await using road = await slowRoad({
    ...{ limit: LIMIT, window: WINDOW, travel: { mean: 25, spread: 15 }, stall: { every: 5000, for: 150 } },
  })
  await using nodes = new RedisNodes({
    ...{ upstream: road.url, limit: LIMIT, window: WINDOW, waiting: 100, timeout: 500 },
  })
  for (let times = 1; times <= 2; times++) {
    nodes.start(0)
    // A whole limit at once: killed now, nothing would be left of the window.
    await expect
      .poll(() => road.arrivals.length, { timeout: 20_000, interval: 10 })
      .toBeGreaterThanOrEqual(LIMIT * times)
    nodes.signal(0, 'SIGKILL')
  }
  expect(mostWithin(road.arrivals, WINDOW)).toBeLessThanOrEqual(LIMIT)
  expect(road.refusals).toEqual([])
}, 60_000)
