import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import type { Backend } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import { hashOf, type Stored } from '../src/entry.ts'
import { createGateway, defineApp, feed } from '../src/index.ts'
import { content } from './content.ts'

const HOUR = 3_600_000
const TOPIC = '/prices/SOL'

let redis: RedisServer
beforeAll(async () => {
  redis = await redisServer()
})
afterAll(() => redis?.[Symbol.asyncDispose]())

/** The machine's clock, as one shows it that is wrong by so much. */
function wrong(by: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + by }
}

function node(prefix: string, clock: Clock): Backend {
  return redisBackend({ url: redis.url, prefix, node: randomUUID(), clock, deadline: 5000, report: () => {} })
}

async function publish({ leases, values }: Backend, value: unknown, age = 0): Promise<Stored | undefined> {
  const lease = await leases.acquire(TOPIC, 'one', 10_000, 0)
  if (!lease.held) throw new Error('expected the lease')
  const given = content(value)
  const publication = { token: lease.token, knownEpoch: 0, hash: hashOf(given), content: given, age, keep: 60_000 }
  const stored = await values.publish(TOPIC, { ...publication, staleIn: 5000 })
  await leases.release(TOPIC, 'one', lease.token)
  return stored
}

test.each([
  ['ahead', HOUR],
  ['behind', -HOUR],
])('a node whose clock is an hour %s reads and hears how old values are, and says so truly', async (_, by) => {
  const prefix = randomUUID()
  const [right, skewed] = [node(prefix, systemClock), node(prefix, wrong(by))]
  const ages = (stored: Stored | undefined, clock: Clock) => [
    clock.now() - (stored?.checkedAt ?? 0),
    clock.now() - (stored?.changedAt ?? 0),
    (stored?.staleAt ?? 0) - clock.now(),
  ]
  const near = (stored: Stored | undefined, clock: Clock, ago: number) => {
    const [checked = 0, changed = 0, stale = 0] = ages(stored, clock)
    for (const age of [checked, changed]) {
      expect(age).toBeGreaterThanOrEqual(ago - 2)
      expect(age).toBeLessThan(ago + 2000)
    }
    expect(stale).toBeGreaterThan(2000)
    expect(stale).toBeLessThan(5002)
  }
  try {
    const heard: Stored[] = []
    skewed.bus.subscribe(TOPIC, (stored) => heard.push(stored))
    const other: Stored[] = []
    right.bus.subscribe(TOPIC, (stored) => other.push(stored))
    near(await publish(right, 'a', 4000), systemClock, 4000)
    near(await skewed.values.read(TOPIC), wrong(by), 4000)
    await expect.poll(() => heard.length).toBeGreaterThan(0)
    near(heard.at(-1), wrong(by), 4000)
    near(await publish(skewed, 'b'), wrong(by), 0)
    near(await right.values.read(TOPIC), systemClock, 0)
    await expect.poll(() => other.at(-1)?.json?.toString()).toBe('"b"')
    near(other.at(-1), systemClock, 0)
    // The same value has the same moments, however often it is read.
    expect(await skewed.values.read(TOPIC)).toEqual(await skewed.values.read(TOPIC))
  } finally {
    await Promise.all([right.close(), skewed.close()])
  }
})

test('two gateways whose clocks are an hour apart say the same age, and serve what they have while the upstream fails', async () => {
  let fails = false
  const prefix = randomUUID()
  const open = async (clock: Clock) => {
    const number = feed('/number', {
      ...{ name: 'number', key: {}, value: z.number(), fresh: '100ms', stale: '0ms', staleIfError: '1m', spread: 0 },
      load: {
        one: async () => {
          if (fails) throw new Error('away')
          return 1
        },
      },
    })
    const app = defineApp({ name: 'numbers', use: [number] })
    const gateway = createGateway({ apps: [app], redis: redis.url, prefix, clock })
    const [url] = await gateway.listen({ port: 0 })
    return { gateway, ask: () => fetch(`${url}/number`) }
  }
  const nodes = await Promise.all([open(systemClock), open(wrong(HOUR)), open(wrong(-HOUR))])
  try {
    for (const { ask } of nodes) expect((await ask()).status).toBe(200)
    fails = true
    await new Promise((resolve) => setTimeout(resolve, 200))
    for (const { ask } of nodes) {
      const answer = await ask()
      expect(answer.status).toBe(200)
      expect(Number(answer.headers.get('age'))).toBeLessThan(30)
    }
  } finally {
    await Promise.all(nodes.map(({ gateway }) => gateway.close(100)))
  }
}, 20_000)
