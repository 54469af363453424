import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import {
  createGateway,
  defineApp,
  feed,
  type Gateway,
  type Identity,
  jsonRpc,
  log,
  rpc,
  socket,
  stream,
  type WeirEvent,
} from '../src/index.ts'

import { call } from './call.ts'

const key = { id: z.string() }
const item = feed('/items/:id', { name: 'item', key, value: z.string(), load: { one: async ({ id }) => id } })
const sold = log('/sold/:id', { name: 'sold', key, event: z.number(), mayPublish: true })
const use = [
  item,
  sold,
  stream('/all', { of: item, choose: { query: 'ids', part: 'id' } }),
  socket('/socket', { name: 'socket' }),
  rpc('/rpc', { name: 'rpc', to: jsonRpc({ name: 'node', url: 'http://127.0.0.1:1' }), methods: { getSlot: {} } }),
]

describe('where all connections are taken', () => {
  let gateway: Gateway
  let url: string
  beforeAll(async () => {
    gateway = createGateway({ apps: [defineApp({ name: 'shop', use, graphql: true })], connections: 1 })
    url = (await gateway.listen({ port: 0 }))[0] ?? ''
    await fetch(`${url}/items/held?as=sse`)
  })
  afterAll(() => gateway.close(0))

  test.each([
    '/items/a?as=sse',
    '/items/a?as=poll&after=0:0',
    '/sold/a?as=sse',
    '/sold/a?as=poll&after=0:0',
    '/all',
    '/all?ids=a,b',
    '/weir/stream?topic=/items/a',
    '/rpc/getSlot?params=[]&as=sse',
  ])('GET %s is refused', async (path) => {
    const answer = await fetch(`${url}${path}`)
    expect([answer.status, await answer.json()]).toMatchObject([503, { code: 'too_many_connections', retryAfter: 5 }])
  })

  test.each(['/weir/ws', '/socket', '/graphql'])('a WebSocket at %s is refused', async (path) => {
    const client = new WebSocket(url.replace('http', 'ws') + path)
    const refused = Promise.withResolvers<number | undefined>()
    client.on('unexpected-response', (_request, { statusCode }) => refused.resolve(statusCode))
    client.on('open', () => refused.resolve(101))
    expect(await refused.promise).toBe(503)
    client.on('error', () => {}).terminate()
  })

  test.each([
    ['GET', '/items/a'],
    ['HEAD', '/items/a?as=sse'],
    ['GET', '/sold/a'],
    ['POST', '/sold/a'],
    ['GET', '/weir/values?topic=/items/a'],
    ['GET', '/graphql?query=%7B__typename%7D'],
    ['GET', '/health'],
  ])('%s %s is answered, since it holds none', async (method, path) => {
    const body = method === 'POST' ? { body: '1', headers: { 'content-type': 'application/json' } } : {}
    expect((await fetch(`${url}${path}`, { method, ...body })).ok).toBe(true)
  })
})

test('callers who come together, and are identified together, have no more connections than there are', async () => {
  const identities = Promise.withResolvers<Identity>()
  const mine = feed('/mine/:id', {
    name: 'mine',
    key,
    value: z.string(),
    scope: 'user',
    load: { one: async () => 'x' },
  })
  let asked = 0
  const identify = () => {
    asked += 1
    return identities.promise
  }
  const app = defineApp({ name: 'shop', use: [mine], identify })
  const gateway = createGateway({ apps: [app], connections: 2 })
  try {
    const [url] = await gateway.listen({ port: 0 })
    const calls = Array.from({ length: 5 }, (_, index) => fetch(`${url}/mine/${index}?as=sse`))
    await expect.poll(() => asked).toBe(5)
    identities.resolve({ user: 'ann' })
    const statuses = (await Promise.all(calls)).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([200, 200, 503, 503, 503])
    await expect.poll(() => gateway.metrics.summary.connections).toBe(2)
  } finally {
    await gateway.close(0)
  }
})

test('a connection that is never opened takes no place for longer than its answer', async () => {
  const gateway = createGateway({ apps: [defineApp({ name: 'shop', use: [item] })], connections: 1 })
  try {
    const handle = gateway.sites[0]?.handle
    for (let round = 0; round < 3; round++) {
      const answer = await handle?.(call('/items/a?as=sse'))
      expect(answer?.kind).toBe('live')
      await new Promise((resolve) => setImmediate(resolve))
    }
  } finally {
    await gateway.close(0)
  }
})

test('a call that is refused is counted at its route', async () => {
  const events: WeirEvent[] = []
  const apps = [defineApp({ name: 'shop', use: [item] })]
  const gateway = createGateway({ apps, observe: (event) => void events.push(event) })
  try {
    for (const path of ['/items/a?as=nothing', '/nowhere']) await gateway.sites[0]?.handle(call(path))
    expect(events.filter(({ type }) => type === 'route.answered')).toMatchObject([
      { route: '/items/:id', status: 400 },
      { route: 'none', status: 404 },
    ])
  } finally {
    await gateway.close(0)
  }
})
