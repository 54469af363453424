import { randomUUID } from 'node:crypto'
import { compareVersions, parseVersion } from '@weir/protocol'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import { createGateway, defineApp, feed, http, type WeirEvent } from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { testApp } from './served.ts'

const NODES = 4

interface NodeOptions {
  readonly every?: `${number}ms`
  readonly observe?: (event: WeirEvent) => void
}

/** A gateway with sockets and memory of its own. */
async function node(
  upstream: CountingUpstream,
  redis: string,
  prefix: string,
  { every = '100ms', observe = () => {} }: NodeOptions = {},
) {
  const gateway = createGateway({ apps: [testApp(upstream, { every, fresh: '90ms' })], redis, prefix, observe })
  const [url = ''] = await gateway.listen({ port: 0 })
  return { gateway, url, get: (path: string) => fetch(`${url}${path}`) }
}

/** Gateways that share one Redis. */
async function nodes(redis: RedisServer, upstream: CountingUpstream, count = NODES, every: `${number}ms` = '100ms') {
  const prefix = randomUUID()
  const events: WeirEvent[] = []
  const observe = (event: WeirEvent) => void events.push(event)
  const one = () => node(upstream, redis.url, prefix, { every, observe })
  const all = await Promise.all(Array.from({ length: count }, one))
  return {
    all,
    events,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(all.map(({ gateway }) => gateway.close(500)))
    },
  }
}

async function connected(url: string) {
  const client = createClient({ url })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: async () => client.destroy() })
}

const versionOf = (text: unknown) => {
  const version = parseVersion(String(text))
  if (version === undefined) throw new Error(`expected a version, got ${text}`)
  return version
}

test('a cold herd over four nodes is one call, and all have the same version', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  upstream.answer = (path, response) => void setTimeout(() => json(response, { path }), 100)
  await using site = await nodes(redis, upstream)
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, index) => site.all[index % NODES]?.get('/quotes/a') ?? Promise.reject()),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(new Set(answers.map(({ headers }) => headers.get('weir-version'))).size).toBe(1)
  expect(upstream.calls).toBe(1)
})

test('what one node publishes all nodes tell', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  let step = 0
  upstream.answer = (_path, response) => json(response, { step })
  await using site = await nodes(redis, upstream)
  const streams = await Promise.all(site.all.map(async ({ get }) => new EventStream(await get('/items/a?as=sse'))))
  for (step = 1; step <= 5; step++) {
    const seen = await Promise.all(
      streams.map((stream) => stream.until('snapshot', ({ data }) => (data.value as { step: number }).step === step)),
    )
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1)
  }
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
})

test('four nodes that watch one value ask as often as one; when the one that asks goes, another does', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  let step = 0
  upstream.answer = (_path, response) => json(response, { step })
  await using site = await nodes(redis, upstream)
  const streams = await Promise.all(site.all.map(async ({ get }) => new EventStream(await get('/items/a?as=sse'))))
  const seen = (stream: EventStream | undefined, value: number) =>
    stream?.until('snapshot', ({ data }) => (data.value as { step: number }).step === value)
  await Promise.all(streams.map((stream) => seen(stream, 0)))
  const [began, before] = [performance.now(), upstream.calls]
  await expect.poll(() => upstream.calls - before, { interval: 5 }).toBe(20)
  // One node asks ten times a second, a twentieth sooner or later.
  expect(performance.now() - began).toBeGreaterThan(19 * 95 - 100)

  for (const [index, { gateway }] of site.all.slice(0, NODES - 1).entries()) {
    await gateway.close(500)
    step = index + 1
    await seen(streams[NODES - 1], step)
  }
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
})

test('four nodes, each watched for values of its own, fill their calls together; when one goes, others ask for the rest', async () => {
  await using redis = await redisServer()
  const asked: string[][] = []
  await using upstream = await countingUpstream()
  upstream.answer = (path, response) => {
    const ids = new URL(path, 'http://x').searchParams.get('ids')?.split(',') ?? []
    asked.push(ids)
    json(response, Object.fromEntries(ids.map((id) => [id, asked.length])))
  }
  const prefix = randomUUID()
  const gateways = Array.from({ length: NODES }, () => {
    const source = http({ name: 'source', url: upstream.url, pastUsage: 'none' })
    const value = feed('/values/:id', {
      name: 'value',
      key: { id: z.string() },
      value: z.number(),
      from: source,
      load: {
        batch: 50,
        within: '0ms',
        many: async (keys, call) => {
          const found = (await call.get('/', { query: { ids: keys.map(({ id }) => id).join() } })) as Record<
            string,
            number
          >
          return keys.map(({ id }) => found[id] ?? 0)
        },
      },
      fresh: '200ms',
      live: { every: '200ms', linger: '200ms' },
    })
    return createGateway({ apps: [defineApp({ name: 'test', use: [value] })], redis: redis.url, prefix })
  })
  const ids = gateways.map((_, node) => Array.from({ length: 5 }, (_, index) => `${node}-${index}`))
  const streams = await Promise.all(
    gateways.map(async (gateway, node) => {
      const [url = ''] = await gateway.listen({ port: 0 })
      const topics = ids[node]?.map((id) => `topic=/values/${id}`).join('&')
      return new EventStream(await fetch(`${url}/weir/stream?${topics}`))
    }),
  )
  const full = ids.flat().sort().join()
  await expect
    .poll(() => asked.slice(-5).map((ids) => ids.toSorted().join()), { timeout: 10_000 })
    .toEqual(Array(5).fill(full))
  const [began, before] = [performance.now(), asked.length]
  await expect.poll(() => asked.length - before, { interval: 5 }).toBe(10)
  expect(performance.now() - began).toBeGreaterThan(9 * 190 - 200)

  for (const [node, gateway] of gateways.slice(0, NODES - 1).entries()) {
    await gateway.close(500)
    const left = ids
      .slice(node + 1)
      .flat()
      .sort()
      .join()
    await expect.poll(() => asked.at(-1)?.toSorted().join(), { timeout: 10_000 }).toBe(left)
    const latest = asked.length
    await streams[NODES - 1]?.until('snapshot', ({ data }) => Number(data.value) > latest)
  }
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  await gateways[NODES - 1]?.close(500)
}, 60_000)

test('a node that drains leaves all that it asks for to another, which asks within one interval, also amid a call', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  let step = 0
  let hangs = false
  upstream.answer = (_path, response) => void (hangs || json(response, { step }))
  await using site = await nodes(redis, upstream, 2, '2000ms')
  const [going, staying] = site.all
  const streams: EventStream[] = []
  for (const node of [going, staying]) {
    const stream = new EventStream((await node?.get('/items/a?as=sse')) ?? new Response())
    await stream.until('snapshot')
    streams.push(stream)
    // From its first round on the first of them asks for both.
    await expect.poll(() => upstream.calls, { timeout: 3000 }).toBe(2)
  }
  hangs = true
  const before = upstream.calls
  await expect.poll(() => upstream.calls, { timeout: 3000, interval: 5 }).toBe(before + 1)
  hangs = false
  step = 1
  const began = performance.now()
  await going?.gateway.close(100)
  await streams[1]?.until('snapshot', ({ data }) => (data.value as { step: number }).step === 1)
  // An interval and its jitter; the claim would have lasted for 4.4 s, and the lease of the call for longer.
  expect(performance.now() - began).toBeLessThan(2100 + 500)
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
})

test('each node knows who is alive, and with which load; who drains is gone at once, and who is killed soon', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  await using site = await nodes(redis, upstream, 3)
  const [first, second, third] = site.all
  const seen = async () => {
    const health = await (await first?.get('/api/health'))?.json()
    return health.nodes.map(({ connections }: { connections: number }) => connections)
  }
  const stream = new EventStream((await third?.get('/items/a?as=sse')) ?? new Response())
  await stream.until('snapshot')
  // By when they came, each as it said of itself last.
  await expect.poll(async () => (await seen()).toSorted(), { timeout: 8000 }).toEqual([0, 0, 1])
  const health = await (await second?.get('/api/health'))?.json()
  expect(health.nodes).toHaveLength(3)
  expect(health.nodes[0]).toEqual({
    node: expect.any(String),
    version: '0.1.0',
    since: expect.any(Number),
    level: 'normal',
    connections: expect.any(Number),
    delay: expect.any(Number),
  })
  expect(await (await first?.get('/metrics'))?.text()).toContain('weir_nodes 3')
  await second?.gateway.close(0)
  await expect.poll(async () => (await seen()).length, { timeout: 1000 }).toBe(2)
  expect(await (await first?.get('/metrics'))?.text()).toContain('weir_nodes 2')
  await stream[Symbol.asyncDispose]()
})

test('while Redis is away each node goes on by itself; no version goes back, and all agree again', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  let step = 0
  upstream.answer = (_path, response) => json(response, { step })
  await using site = await nodes(redis, upstream, 2)
  const streams = await Promise.all(site.all.map(async ({ get }) => new EventStream(await get('/items/a?as=sse'))))
  const last: string[] = []
  async function all(): Promise<readonly (string | undefined)[]> {
    step += 1
    return Promise.all(
      streams.map(async (stream, index) => {
        for (;;) {
          const { id, data } = await stream.until('snapshot')
          const before = last[index]
          if (before !== undefined) expect(compareVersions(versionOf(id), versionOf(before))).toBeGreaterThan(0)
          last[index] = String(id)
          if ((data.value as { step: number }).step === step) return id
        }
      }),
    )
  }
  expect(new Set(await all()).size).toBe(1)
  await redis.kill()
  for (let rounds = 0; rounds < 3; rounds++) await all()
  expect((await site.all[0]?.get('/items/b'))?.status).toBe(200)
  await redis.start()
  await expect.poll(async () => new Set(await all()).size, { timeout: 15_000 }).toBe(1)
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
}, 60_000)

test('a node alone that was cut off from Redis comes back with a larger epoch, and all go on in one', async () => {
  await using redis = await redisServer()
  await using admin = await connected(redis.url)
  await admin.sendCommand(['ACL', 'SETUSER', 'far', 'on', 'nopass', '~*', '&*', '+@all'])
  await using upstream = await countingUpstream()
  let step = 0
  upstream.answer = (_path, response) => json(response, { step })
  const prefix = randomUUID()
  const near = await node(upstream, redis.url, prefix)
  const far = await node(upstream, redis.url.replace('//', '//far:any@'), prefix)
  const streams = await Promise.all([near, far].map(async ({ get }) => new EventStream(await get('/items/a?as=sse'))))
  const next = async () => {
    step += 1
    const now = step
    const told = streams.map((stream) =>
      stream.until('snapshot', ({ data }) => (data.value as { step: number }).step === now),
    )
    return (await Promise.all(told)).map(({ id }) => versionOf(id).epoch)
  }
  const [epoch] = await next()
  await admin.sendCommand(['ACL', 'SETUSER', 'far', 'off'])
  await admin.sendCommand(['CLIENT', 'KILL', 'USER', 'far'])
  await expect.poll(next, { timeout: 15_000 }).toEqual([epoch, expect.toSatisfy((far) => far > (epoch ?? 0))])
  await admin.sendCommand(['ACL', 'SETUSER', 'far', 'on'])
  await expect.poll(async () => new Set(await next()).size, { timeout: 15_000 }).toBe(1)
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  await Promise.all([near, far].map(({ gateway }) => gateway.close(500)))
}, 60_000)

test('what one node drops no node serves any more, by key and by tag', async () => {
  await using redis = await redisServer()
  await using upstream = await countingUpstream()
  let step = 1
  upstream.answer = (_path, response) => json(response, { step })
  const prefix = randomUUID()
  const nodes = await Promise.all(
    [0, 1].map(async () => {
      const page = feed('/pages/:id', {
        name: 'page',
        key: { id: z.string() },
        value: z.object({ step: z.number() }),
        from: http({ name: 'pages', url: upstream.url, pastUsage: 'none' }),
        load: { one: ({ id }, call) => call.get(`/pages/${id}`) as Promise<{ step: number }> },
        fresh: '1h',
        tags: () => ['all'],
      })
      const gateway = createGateway({ apps: [defineApp({ name: 'pages', use: [page] })], redis: redis.url, prefix })
      const [url = ''] = await gateway.listen({ port: 0 })
      const read = async (id: string) => (await (await fetch(`${url}/pages/${id}`)).json()).step
      return { gateway, page, read }
    }),
  )
  const [one, other] = nodes
  const both = async (id: string) => Promise.all(nodes.map(({ read }) => read(id)))
  // Both attend when a drop of one is heard by the other.
  await expect
    .poll(async () => {
      step += 1
      await one?.page.drop({ id: 'probe' })
      const seen = await both('probe')
      return seen.every((value) => value === step)
    })
    .toBe(true)
  expect([await both('a'), await both('b')]).toEqual([
    [step, step],
    [step, step],
  ])
  const before = step
  step += 1
  await other?.page.drop({ id: 'a' })
  await expect.poll(() => both('a')).toEqual([step, step])
  expect(await both('b')).toEqual([before, before])
  await one?.page.dropTagged('all')
  await expect.poll(() => both('b')).toEqual([step, step])
  await Promise.all(nodes.map(({ gateway }) => gateway.close(500)))
})

test.each(['127.0.0.1:6379', 'http://127.0.0.1', 'postgres://u:hidden@127.0.0.1'])('%s is no Redis', (redis) => {
  const made = () => createGateway({ apps: [], redis })
  expect(made).toThrow(/redis: expected an address such as redis:/)
  expect(made).not.toThrow(/hidden/)
})
