import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { redisServer } from '../../../scripts/redis-server.ts'
import { at, createGateway, defineApp, feed, type Gateway, log } from '../src/index.ts'

const INDEX = import.meta.resolve('../src/index.ts')

const key = { id: z.string() }

/** An app with a feed, a feed made of it, a log, and a route that reads the feed. */
function shop(load: (id: string) => unknown = (id) => id) {
  const item = feed('/items/:id', {
    name: 'item',
    key,
    value: z.unknown(),
    fresh: '1m',
    load: { one: async ({ id }) => load(id) },
  })
  const twice = feed('/twice/:id', {
    name: 'twice',
    key,
    value: z.array(z.unknown()),
    load: {
      one: async ({ id }) => {
        const { value } = await item.get({ id })
        return [value, value]
      },
    },
    live: { dependsOn: ({ id }) => [at(item, { id })] },
  })
  const sold = log('/sold/:id', { name: 'sold', key, event: z.number() })
  const routes = new Hono().get('/of/:id', async (context) => {
    const { value } = await item.get({ id: context.req.param('id') })
    return context.json(value as string)
  })
  return { item, twice, sold, app: defineApp({ name: 'shop', use: [item, twice, sold], routes }) }
}

async function closeAll(gateways: readonly Gateway[]): Promise<void> {
  await Promise.all(gateways.map((gateway) => gateway.close(0)))
}

describe('a declaration that several gateways serve', () => {
  test('is read through each of them, and each has values of its own', async () => {
    let loaded = 0
    const { item, app } = shop((id) => `${id}${++loaded}`)
    const gateways = [createGateway({ apps: [app] }), createGateway({ apps: [app] })]
    try {
      const values: unknown[] = []
      for (let round = 0; round < 2; round++)
        for (const gateway of gateways) values.push((await gateway.of(item).get({ id: 'a' })).value)
      expect(values).toEqual(['a1', 'a2', 'a1', 'a2'])
      await gateways[0]?.of(item).drop({ id: 'a' })
      expect((await gateways[0]?.of(item).get({ id: 'a' }))?.value).toBe('a3')
      expect((await gateways[1]?.of(item).get({ id: 'a' }))?.value).toBe('a2')
    } finally {
      await closeAll(gateways)
    }
  })

  test('has no meaning without the name of a gateway, until only one is left', async () => {
    const { item, sold, app } = shop()
    const gateways = [createGateway({ apps: [app] }), createGateway({ apps: [app] })]
    const [first, second] = gateways
    try {
      const named = 'expected one gateway that serves it, got 2: name the gateway with gateway.of(…)'
      await expect(item.get({ id: 'a' })).rejects.toThrow(`feed "/items/:id": ${named}`)
      await expect(item.drop({ id: 'a' })).rejects.toThrow(named)
      await expect(sold.publish({ id: 'a' }, 1)).rejects.toThrow(`log "/sold/:id": ${named}`)
      await first?.of(sold).publish({ id: 'a' }, 1)
      expect((await second?.of(sold).read({ id: 'a' }))?.events).toEqual([])

      const closed = first?.of(item)
      await first?.close(0)
      await expect(closed?.get({ id: 'a' })).rejects.toThrow(
        'expected a gateway that serves it, got one that is closed',
      )
      expect((await item.get({ id: 'a' })).value).toBe('a')
    } finally {
      await closeAll(gateways)
    }
  })

  test('means the one whose loaders and routes run', async () => {
    const { twice, app } = shop()
    const gateways = [createGateway({ apps: [app] }), createGateway({ apps: [app] })]
    try {
      for (const gateway of gateways) {
        expect((await gateway.of(twice).get({ id: 'a' })).value).toEqual(['a', 'a'])
        const answer = await gateway.sites[0]?.fetch(new Request('http://localhost/of/b'))
        expect(await answer?.json()).toBe('b')
      }
    } finally {
      await closeAll(gateways)
    }
  })

  test('is served by a region and by its origin in one process', async () => {
    let loaded = 0
    const { item, app } = shop((id) => `${id}${++loaded}`)
    const origin = createGateway({ apps: [app] })
    const gateways = [origin]
    try {
      const [url = ''] = await origin.listen({ port: 0 })
      const region = createGateway({ apps: [app], origin: url })
      gateways.push(region)
      expect((await region.of(item).get({ id: 'a' })).value).toBe('a1')
      expect((await origin.of(item).get({ id: 'a' })).value).toBe('a1')
    } finally {
      await closeAll(gateways)
    }
  })

  test('is named by its site where two apps of one gateway use it', async () => {
    const { item } = shop()
    const gateway = createGateway({ apps: ['one', 'two'].map((name) => defineApp({ name, use: [item] })) })
    try {
      expect(() => gateway.of(item)).toThrow('name the site with gateway.sites[…].of(…)')
      expect((await gateway.sites[1]?.of(item).get({ id: 'a' }))?.value).toBe('a')
    } finally {
      await gateway.close(0)
    }
  })

  test('is refused by a gateway that does not serve it', async () => {
    const { item, sold } = shop()
    const gateway = createGateway({ apps: [] })
    try {
      expect(() => gateway.of(item)).toThrow(
        'feed "/items/:id": expected an app of this gateway that uses it, got none',
      )
      expect(() => gateway.of(sold)).toThrow('log "/sold/:id"')
      // @ts-expect-error what is no declaration
      expect(() => gateway.of({})).toThrow('gateway.of(): expected a feed or a log, got {}')
    } finally {
      await gateway.close(0)
    }
  })
})

describe('a gateway that fails to start leaves nothing behind', () => {
  /** Runs a program that makes a gateway of these apps in vain, and then ends when nothing of it is left: no timer, no socket. */
  function runs(apps: string, options = ''): { readonly status: number | null; readonly stdout: string } {
    const script = `
      import { createGateway, defineApp, feed, http } from ${JSON.stringify(INDEX)}
      import { z } from ${JSON.stringify(import.meta.resolve('zod'))}
      const one = { name: 'one', key: {}, value: z.number(), load: { one: async () => 1 } }
      const good = feed('/good', { ...one, from: http({ name: 'good', url: 'http://127.0.0.1:1' }) })
      try {
        createGateway({ apps: ${apps}, ${options} })
      } catch (error) {
        console.log(error.message)
      }
      await good.get({}).catch((error) => console.log(error.message))
    `
    return spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8', timeout: 20_000 })
  }
  const unserved = 'feed "/good": expected a running gateway, got none'
  const twoApps = (second: string) =>
    `[defineApp({ name: 'a', use: [good] }), defineApp({ name: 'b', use: [${second}] })]`
  const badPrewarm = "feed('/bad', { ...one, prewarm: new URL('file:///nowhere.json') })"

  test.each([
    ['the second of two apps cannot be served', badPrewarm, '', 'prewarm'],
    [
      'two parts of the second app have one address',
      "good, { ...good, name: 'other' }",
      '',
      'expected another address',
    ],
    [
      'two apps disagree on an upstream',
      "feed('/x', { ...one, from: http({ name: 'good', url: 'http://127.0.0.1:2' }) })",
      '',
      'the same settings',
    ],
    ['its Redis is away too', badPrewarm, "redis: 'redis://127.0.0.1:1'", 'prewarm'],
  ])('when %s', (_what, second, options, problem) => {
    const { status, stdout } = runs(twoApps(second), options)
    expect(stdout).toContain(problem)
    expect(stdout).toContain(unserved)
    expect(status).toBe(0)
  })

  test('of its connections to Redis', async () => {
    await using redis = await redisServer()
    const { status, stdout } = runs(twoApps(badPrewarm), `redis: ${JSON.stringify(redis.url)}`)
    expect(stdout).toContain('prewarm')
    expect(status).toBe(0)
  })

  test('at an address that is taken: no app is served, and it may listen elsewhere', async () => {
    const [taken, free] = [createServer(), createServer()]
    const ports: number[] = []
    for (const server of [free, taken]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      ports.push((server.address() as { readonly port: number }).port)
    }
    await new Promise((resolve) => free.close(resolve))
    const gateway = createGateway({ apps: ['one', 'two'].map((name) => defineApp({ name, use: [] })) })
    try {
      await expect(gateway.listen({ port: ports })).rejects.toThrow('EADDRINUSE')
      await expect(fetch(`http://127.0.0.1:${ports[0]}/health`)).rejects.toThrow()
      expect(await gateway.listen({ port: 0 })).toHaveLength(2)
    } finally {
      await gateway.close(0)
      await new Promise((resolve) => taken.close(resolve))
    }
  })
})

test('a gateway that closes or is closed listens nowhere', async () => {
  const gateway = createGateway({ apps: [defineApp({ name: 'a', use: [] })] })
  // As when SIGTERM comes while it starts.
  const starting = gateway.listen({ port: 0 }).catch(() => [])
  await gateway.close(0)
  const [url] = await starting
  if (url !== undefined) await expect(fetch(`${url}/weir/values`)).rejects.toThrow()
  await expect(gateway.listen({ port: 0 })).rejects.toThrow()
})
