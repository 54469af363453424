import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { compareVersions, parseVersion, type Version } from '@weir/protocol'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import { run } from '../../../scripts/running.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { slotOf } from '../src/backend/redis/slot.ts'
import { createGateway, defineApp, feed, http } from '../src/index.ts'
import { order, redisCluster } from './redis-cluster.ts'
import { type Relay, relay } from './relay.ts'
import { mostWithin } from './slow-road.ts'

const LIMIT = 20
const WINDOW = 1000
const EVERY = 100

/** What a value that is in memory may take on a busy machine, in milliseconds. */
const AT_ONCE = 1000

/** Two gateways over one Redis, readers who never rest, and an upstream that says when each call came. */
async function opened(redis: string) {
  const upstream = run(['packages/gateway/test/fixtures/arrivals.ts', String(LIMIT)])
  const [, upstreamUrl = ''] = await upstream.says(/"url":"([^"]+)"/)
  const prefix = randomUUID()
  const nodes = await Promise.all(
    [0, 1].map(async () => {
      const source = http({
        ...{ name: 'source', url: upstreamUrl, pastUsage: 'none', timeout: '400ms', retries: 0 },
        limits: [{ calls: LIMIT, per: '1s', by: 'account' }],
      })
      const item = feed('/items/:id', {
        ...{ name: 'item', key: { id: z.string() }, value: z.object({ at: z.number() }), from: source },
        load: { one: ({ id }, call) => call.get(`/items/${id}`) as Promise<{ at: number }> },
        ...{ fresh: '90ms', stale: '1m', deadline: '500ms', live: { every: `${EVERY}ms`, linger: '1m' } },
      })
      const gateway = createGateway({ apps: [defineApp({ name: 'test', use: [item] })], redis, prefix })
      const [url = ''] = await gateway.listen({ port: 0 })
      return { gateway, url }
    }),
  )
  const faults: string[] = []
  let reads = 0
  let over = false

  /** Reads what is watched, again and again; each answer is there at once, says how old it is, and is never before the last. */
  async function read(url: string): Promise<void> {
    let last: Version | undefined
    while (!over) {
      const began = performance.now()
      const answer = await fetch(`${url}/items/watched`)
      const { at } = await answer.json()
      const took = performance.now() - began
      const version = parseVersion(answer.headers.get('weir-version') ?? '')
      reads += 1
      if (answer.status !== 200 || version === undefined) {
        faults.push(`answered ${answer.status}`)
        continue
      }
      if (took > AT_ONCE) faults.push(`answered after ${took} ms`)
      const age = (Date.now() - at) / 1000
      if (Number(answer.headers.get('age')) < age - 1.5)
        faults.push(`${age} s old, and said ${answer.headers.get('age')}`)
      if (last !== undefined && compareVersions(version, last) < 0)
        faults.push(`${version.epoch}:${version.sequence} after ${last.epoch}:${last.sequence}`)
      last = version
      await sleep(20)
    }
  }

  /** Wants more than the budget has. */
  async function press(url: string): Promise<void> {
    for (let index = 0; !over; index++) {
      await fetch(`${url}/items/${index % 200}`).then((answer) => answer.arrayBuffer())
      await sleep(10)
    }
  }

  // A machine that is busy may take longer to the first value than a client would wait.
  const first = async () =>
    (await Promise.all(nodes.map(({ url }) => fetch(`${url}/items/watched`)))).map(({ ok }) => ok)
  await expect.poll(first, { timeout: 10_000 }).toEqual([true, true])
  const listening = new AbortController()
  for (const { url } of nodes) await fetch(`${url}/items/watched?as=sse`, { signal: listening.signal })
  const work = nodes.flatMap(({ url }) => [read(url), press(url)])

  /** Both have one version of one value, and it is new. */
  async function agree(): Promise<void> {
    const since = Date.now()
    await expect
      .poll(
        async () => {
          const seen = await Promise.all(
            nodes.map(async ({ url }) => {
              const answer = await fetch(`${url}/items/watched`)
              return { version: answer.headers.get('weir-version'), at: (await answer.json()).at as number }
            }),
          )
          return seen[0]?.version === seen[1]?.version && seen.every(({ at }) => at > since)
        },
        { timeout: 15_000, interval: 10 },
      )
      .toBe(true)
  }

  await agree()
  return {
    prefix,
    agree,
    /** Ends the work; all must have been well. */
    async end() {
      over = true
      await Promise.all(work)
      expect(faults).toEqual([])
      expect(reads).toBeGreaterThan(30)
      const arrivals: number[] = await (await fetch(`${upstreamUrl}/__arrivals`)).json()
      expect(arrivals.length).toBeGreaterThan(3)
      expect(mostWithin(arrivals, WINDOW)).toBeLessThanOrEqual(LIMIT)
    },
    async [Symbol.asyncDispose]() {
      over = true
      listening.abort()
      await Promise.allSettled(work)
      await Promise.all(nodes.map(({ gateway }) => gateway.close(200)))
      await upstream[Symbol.asyncDispose]()
    },
  }
}

interface Outage {
  readonly name: string
  readonly begin: (redis: RedisServer, road: Relay) => unknown
  /** How long it lasts, in milliseconds. */
  readonly lasts: number
  readonly end?: (redis: RedisServer, road: Relay) => unknown
}

const OUTAGES: readonly Outage[] = [
  // Long enough for each node to go on with its own share.
  { name: 'stopped', begin: (redis) => redis.freeze(), lasts: 9000, end: (redis) => redis.thaw() },
  {
    name: 'slowed by 2 s',
    begin: (_, road) => {
      road.delay = 2000
    },
    lasts: 5000,
    end: (_, road) => {
      road.delay = 0
    },
  },
  {
    name: 'made READONLY',
    begin: (redis) => order(redis, 'REPLICAOF', '127.0.0.1', '1'),
    lasts: 3000,
    end: (redis) => order(redis, 'REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'out of memory',
    begin: (redis) => order(redis, 'CONFIG', 'SET', 'maxmemory', '1'),
    lasts: 3000,
    end: (redis) => order(redis, 'CONFIG', 'SET', 'maxmemory', '0'),
  },
  {
    name: 'emptied, and its scripts too',
    begin: async (redis) => {
      await order(redis, 'SCRIPT', 'FLUSH')
      await redis.flush()
    },
    lasts: 1000,
  },
  {
    name: 'killed and started again, empty',
    begin: (redis) => redis.kill(),
    lasts: 1000,
    end: (redis) => redis.start(),
  },
]

test.each(OUTAGES)(
  'Redis $name: values come from memory and say how old they are, no version goes back, the budget holds, and all is well again by itself',
  async ({ begin, lasts, end }) => {
    await using redis = await redisServer()
    await using road = await relay(redis.url)
    await using site = await opened(road.url)
    await begin(redis, road)
    await sleep(lasts)
    await end?.(redis, road)
    await site.agree()
    await site.end()
  },
  40_000,
)

test('the master of a cluster that has the budget dies: the same, and its replica takes over', async () => {
  await using cluster = await redisCluster({ replicas: true })
  await using site = await opened(cluster.url)
  const slot = slotOf(redisKeys(site.prefix).meter('source'))
  await cluster.masters[Math.floor((slot * cluster.masters.length) / 16_384)]?.kill()
  await site.agree()
  await site.end()
}, 60_000)
