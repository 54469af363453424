import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { openRoad } from '../../../scripts/road.ts'
import type { Transport } from '../src/index.ts'
import { ProblemError } from '../src/index.ts'
import { client, isLeft, listen, rising, serveWorld } from './world.ts'

const ALL: readonly Transport[] = ['sse', 'ws', 'poll']
const QUICK = { heartbeat: '200ms' } as const

test('WebSockets use their own address, if one is given', async () => {
  await using world = await serveWorld()
  await using road = await openRoad(world.url)
  await using sockets = await openRoad(world.url)
  using weir = client({ url: road.url, socketUrl: sockets.url.replace('http', 'ws'), transports: ['ws', 'sse'] })
  const item = listen(weir, '/items/a')
  await expect.poll(() => item.heard.length).toBeGreaterThan(1)
  expect(await weir.get('/items/still')).toMatchObject({ value: { count: 0 } })
  expect(weir.status().transport).toBe('ws')
  expect([road.opened.ws, sockets.opened.ws]).toEqual([0, 1])
})

describe.each(ALL)('only by %s', (transport) => {
  test('a feed delivers its changes, with versions that only rise', async () => {
    await using world = await serveWorld()
    using weir = client({ url: world.url, transports: [transport], interval: 50 })
    const item = listen(weir, '/items/a')
    await expect.poll(() => item.heard.length).toBeGreaterThan(5)
    expect(weir.status()).toMatchObject({ state: 'live', transport, level: 'normal', stale: 0 })
    expect(item.last).toMatchObject({ topic: '/items/a', value: { path: '/items/a' }, stale: false })
    expect(item.versions()).toEqual(rising(item.versions()))
    expect(weir.now() - (item.last?.checkedAt ?? 0)).toBeLessThan(2000)
  })

  test('many topics share it, and are added and removed', async () => {
    await using world = await serveWorld()
    using weir = client({ url: world.url, transports: [transport], interval: 50, linger: 0 })
    const all = Array.from({ length: 300 }, (_, index) => listen(weir, `/items/still-${'x'.repeat(40)}-${index}`))
    await expect.poll(() => all.every(({ last }) => last?.value !== undefined)).toBe(true)
    for (const { stop } of all.slice(10)) stop()
    const late = listen(weir, '/items/late')
    await expect.poll(() => late.heard.length).toBeGreaterThan(3)
    expect(all[0]?.last?.value).toMatchObject({ count: 0 })
    if (transport !== 'poll') await expect.poll(() => world.gateway.metrics.summary.connections).toBe(1)
    await isLeft(world, `/items/still-${'x'.repeat(40)}-299`, '/items/late')
  })

  test('absent, invalid and unknown topics are reported, and the others continue', async () => {
    await using world = await serveWorld()
    using weir = client({ url: world.url, transports: [transport], interval: 50 })
    const none = listen(weir, '/items/none')
    const bad = listen(weir, '/nowhere/at/all')
    const item = listen(weir, '/items/a')
    await expect.poll(() => none.last?.absent).toContain('no such item')
    await expect.poll(() => weir.entry('/nowhere/at/all')?.problem?.code).toBe('not_found')
    expect(bad.last?.problem?.status).toBe(404)
    await expect.poll(() => item.heard.length).toBeGreaterThan(2)
  })

  test('a topic requested under another name than its canonical address is delivered under the requested name', async () => {
    await using world = await serveWorld()
    using weir = client({ url: world.url, transports: [transport], interval: 50 })
    const book = listen(weir, '/books/x')
    const deep = listen(weir, '/books/x?depth=20')
    await expect.poll(() => book.last?.value).toEqual({ depth: 10 })
    await expect.poll(() => deep.last?.value).toEqual({ depth: 20 })
  })

  test('a failing upstream makes values and the status stale', async () => {
    await using world = await serveWorld({ heartbeat: '100ms' })
    using weir = client({ url: world.url, transports: [transport], interval: 50 })
    const item = listen(weir, '/items/a')
    // Several topics are polled at an interval; for a single one, staleness arrives when a held request ends.
    for (const name of ['b', 'c']) listen(weir, `/items/${name}`)
    await expect.poll(() => item.heard.length).toBeGreaterThan(2)
    world.well = false
    await expect.poll(() => weir.status()).toMatchObject({ state: 'stale', stale: 3 })
    expect(item.last).toMatchObject({ stale: true, value: { path: '/items/a' } })
    world.well = true
    await expect.poll(() => weir.status().state).toBe('live')
  })

  test('each event of a log arrives once, in order, across disconnects and for late listeners', async () => {
    await using world = await serveWorld()
    await using road = await openRoad(world.url)
    using weir = client({ url: road.url, transports: [transport], interval: 50 })
    await world.sell(1, 20)
    const trades = listen(weir, '/trades/SOL')
    await expect.poll(() => trades.heard.length).toBe(20)
    road.leadTo(world.url)
    await world.sell(21, 60)
    await expect.poll(() => trades.heard.length).toBe(60)
    await world.sell(61, 70)
    await expect.poll(() => trades.heard.length).toBe(70)
    expect(trades.heard.map(({ value }) => (value as { n: number }).n)).toEqual(
      Array.from({ length: 70 }, (_, n) => n + 1),
    )
    const late = listen(weir, '/trades/SOL')
    expect(late.heard).toEqual(trades.heard)
    const after = weir.entry('/trades/SOL')?.version ?? ''
    const since: unknown[] = []
    weir.subscribe('/trades/SOL', (entry) => since.push(entry.value), { since: after })
    await world.sell(71)
    await expect.poll(() => since).toEqual([{ n: 71 }])
  })

  test('events that are no longer kept are reported as a gap', async () => {
    await using world = await serveWorld({ events: 10 })
    await using road = await openRoad(world.url)
    using weir = client({ url: road.url, transports: [transport], interval: 50 })
    const trades = listen(weir, '/trades/SOL')
    // In a stream with several topics the server does not know the reader's position; the gap shows in the positions.
    listen(weir, '/items/still')
    await world.sell(1, 5)
    await expect.poll(() => trades.heard.length).toBe(5)
    road.block(...ALL)
    await world.sell(6, 1200)
    road.block()
    await expect.poll(() => trades.last?.value).toEqual({ n: 1200 })
    const gaps = trades.heard.flatMap(({ gap }) => gap ?? [])
    expect(gaps).toHaveLength(1)
    expect(gaps[0]?.from).toBe(trades.heard[4]?.version)
    const before = Number(gaps[0]?.to.split(':')[1])
    const rest = trades.heard.slice(6).map(({ value }) => (value as { n: number }).n)
    expect(rest).toEqual(Array.from({ length: 1200 - before }, (_, index) => before + 1 + index))
  })

  test('a silent server is disconnected after two heartbeats, and found again', async () => {
    await using world = await serveWorld(QUICK)
    await using road = await openRoad(world.url)
    using weir = client({ url: road.url, transports: [transport], interval: 50, connectTimeout: 300 })
    const item = listen(weir, '/items/a')
    await expect.poll(() => item.heard.length).toBeGreaterThan(2)
    // Polling may be silent for two held requests, which is too long for a test.
    if (transport === 'poll') road.block('poll')
    else road.hush(transport)
    await expect.poll(() => weir.status().state).toBe('offline')
    const before = item.heard.length
    road.block()
    road.hush()
    await expect.poll(() => weir.status().state).toBe('live')
    await expect.poll(() => item.heard.length).toBeGreaterThan(before + 2)
    expect(item.versions()).toEqual(rising(item.versions()))
  })
})

test('transports are blocked one after another, and the next serves each time; unblocked, the best serves again', async () => {
  await using world = await serveWorld(QUICK)
  await using road = await openRoad(world.url)
  using weir = client({ url: road.url, interval: 50, connectTimeout: 300 })
  const item = listen(weir, '/items/a')
  const serving = () => expect.poll(() => weir.status().transport)
  await serving().toBe('sse')
  road.block('sse')
  await serving().toBe('ws')
  road.block('sse', 'ws')
  await serving().toBe('poll')
  const polled = item.heard.length
  await expect.poll(() => item.heard.length).toBeGreaterThan(polled + 2)
  road.block()
  weir.retry()
  await serving().toBe('sse')
  expect(item.versions()).toEqual(rising(item.versions()))
})

test('a transport that accepts and never delivers is skipped', async () => {
  await using world = await serveWorld(QUICK)
  await using road = await openRoad(world.url)
  road.hush('sse', 'ws')
  using weir = client({ url: road.url, interval: 50, connectTimeout: 200 })
  listen(weir, '/items/a')
  await expect.poll(() => weir.status().transport).toBe('poll')
})

test('more topics than fit an address use one WebSocket', async () => {
  await using world = await serveWorld()
  using weir = client({ url: world.url, linger: 0 })
  const few = listen(weir, '/items/a')
  await expect.poll(() => weir.status().transport).toBe('sse')
  const many = Array.from({ length: 400 }, (_, index) => listen(weir, `/items/still-${'x'.repeat(40)}-${index}`))
  await expect.poll(() => many.every(({ last }) => last !== undefined)).toBe(true)
  weir.retry()
  await expect.poll(() => weir.status().transport).toBe('ws')
  await expect.poll(() => world.gateway.metrics.summary.connections).toBe(1)
  for (const { stop } of many) stop()
  await expect.poll(() => few.heard.length).toBeGreaterThan(5)
})

test('a change arrives as a patch on a WebSocket and becomes the whole value', async () => {
  await using world = await serveWorld()
  using weir = client({ url: world.url, transports: ['ws'] })
  const big = listen(weir, '/items/big')
  await expect.poll(() => big.heard.length).toBeGreaterThan(4)
  expect(big.last?.value).toMatchObject({ path: '/items/big', count: expect.any(Number) })
  expect(big.heard.map(({ value }) => (value as { rows: unknown[] }).rows.length)).toEqual(big.heard.map(() => 200))
})

test('a WebSocket that lost messages is replaced although it lives', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  let connections = 0
  server.on('connection', (socket) => {
    connections += 1
    const say = (message: object) => socket.send(JSON.stringify({ now: 1, level: 'normal', ...message }))
    say({ type: 'hello', heartbeat: 60_000 })
    // The first heartbeat is correct; the second counts a message that never arrived.
    say({ type: 'heartbeat', seq: 1 })
    if (connections === 1) say({ type: 'heartbeat', seq: 3 })
  })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  {
    using weir = client({ url: `http://127.0.0.1:${port}`, transports: ['ws'] })
    listen(weir, '/items/a')
    await expect.poll(() => connections).toBe(2)
    await expect.poll(() => weir.status().state).toBe('live')
  }
  server.close()
})

test.each(ALL)('publish appends an event to a log, on the connection or by a request: %s', async (transport) => {
  await using world = await serveWorld()
  await using road = await openRoad(world.url)
  using weir = client({ url: road.url, transports: [transport], interval: 50 })
  // Without a connection it is a separate request.
  expect(await weir.publish('/trades/SOL', { n: 1 })).toMatch(/:1$/)
  const trades = listen(weir, '/trades/SOL')
  await expect.poll(() => trades.heard.length).toBe(1)
  const second = await weir.publish('/trades/SOL', { n: 2 })
  await expect.poll(() => trades.last).toMatchObject({ value: { n: 2 }, version: second })
  await expect(weir.publish('/trades/CLOSED', { n: 3 })).rejects.toBeInstanceOf(ProblemError)
  await expect(weir.publish('/trades/SOL', { n: 'three' })).rejects.toMatchObject({ problem: { status: 400 } })
  road.block(...ALL)
  road.leadTo('http://127.0.0.1:9')
  await expect(weir.publish('/trades/SOL', { n: 4 })).rejects.toThrow()
})

test('get fetches once, returns live values without a request, and throws refusals', async () => {
  await using world = await serveWorld()
  await using road = await openRoad(world.url)
  using weir = client({ url: road.url })
  const asked = await weir.get('/items/still')
  expect(asked).toMatchObject({ topic: '/items/still', version: expect.stringMatching(/^\d+:\d+$/), stale: false })
  expect(asked.value).toMatchObject({ count: 0 })
  await expect(weir.get('/nowhere')).rejects.toBeInstanceOf(ProblemError)
  await expect(weir.get('/items/none')).rejects.toMatchObject({ problem: { code: 'absent' } })
  await world.sell(1, 3)
  expect((await weir.get('/trades/SOL')).value).toMatchObject({ events: [{}, {}, {}] })
  const item = listen(weir, '/items/still')
  await expect.poll(() => item.last?.value).toMatchObject({ count: 0 })
  // It may have been confirmed again meanwhile.
  const live = await weir.get('/items/still')
  expect(item.heard.some((one) => one === live)).toBe(true)
  await road[Symbol.asyncDispose]()
  await expect.poll(() => weir.status().state).toBe('offline')
  expect(await weir.get('/items/still')).toMatchObject({ value: { count: 0 }, stale: true })
})

test('a server restart under its client: no version goes back', async () => {
  const first = await serveWorld(QUICK)
  const port = Number(new URL(first.url).port)
  using weir = client({ url: first.url, interval: 50 })
  const item = listen(weir, '/items/a')
  await expect.poll(() => item.heard.length).toBeGreaterThan(3)
  await first[Symbol.asyncDispose]()
  await expect.poll(() => weir.status().state).toBe('offline')
  const before = item.heard.length
  await using _second = await serveWorld({ ...QUICK, port })
  await expect.poll(() => item.heard.length).toBeGreaterThan(before + 3)
  expect(item.versions()).toEqual(rising(item.versions()))
  expect(new Set(item.versions().map((version) => version.split(':')[0])).size).toBe(2)
})

describe('on a WebSocket', () => {
  test('a topic under two names continues under one when the other is left', async () => {
    await using world = await serveWorld()
    using weir = client({ url: world.url, transports: ['ws'], linger: 0 })
    const names = ['/items/a', '/items/%61']
    const [one, two] = names.map((name) => listen(weir, name))
    await expect.poll(() => Math.min(one?.heard.length ?? 0, two?.heard.length ?? 0)).toBeGreaterThan(2)
    one?.stop()
    await expect.poll(() => weir.entry('/items/a')).toBeUndefined()
    const before = two?.heard.length ?? 0
    await expect.poll(() => two?.heard.length).toBeGreaterThan(before + 5)
    // After the last name is gone, the topic is unsubscribed.
    two?.stop()
    listen(weir, '/items/b')
    await isLeft(world, '/items/a', '/items/b')
  })

  test('topics that change faster than the server allows do not end the connection', async () => {
    await using world = await serveWorld({ socketRate: 60, socketBurst: 100 })
    await using road = await openRoad(world.url)
    using weir = client({ url: road.url, transports: ['ws'], linger: 0 })
    const states = new Set<string>()
    weir.watchStatus(() => states.add(weir.status().state))
    const rows = (page: number) => Array.from({ length: 60 }, (_, row) => listen(weir, `/items/still-${page}-${row}`))
    let shown = rows(0)
    for (let page = 1; page < 8; page += 1) {
      const next = rows(page)
      for (const { stop } of shown) stop()
      shown = next
      // Long enough to send the changes, and far too short for the rate.
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await expect.poll(() => shown.every(({ last }) => last?.value !== undefined), { timeout: 20_000 }).toBe(true)
    expect(road.opened.ws).toBe(1)
    expect(states).not.toContain('offline')
  }, 30_000)

  test('an event that is too large gets its own answer, and a small one next to it is kept', async () => {
    await using world = await serveWorld({ socketMessage: '1kb' })
    await using road = await openRoad(world.url)
    using weir = client({ url: road.url, transports: ['ws'] })
    const trades = listen(weir, '/trades/SOL')
    await expect.poll(() => weir.status().state).toBe('live')
    const [small, large, huge] = await Promise.allSettled([
      weir.publish('/trades/SOL', { n: 1 }),
      weir.publish('/trades/SOL', { n: 2, note: 'x'.repeat(2000) }),
      weir.publish('/trades/SOL', { n: 3, note: 'x'.repeat(100_000) }),
    ])
    expect([small.status, large.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(huge).toMatchObject({ status: 'rejected', reason: { problem: { code: 'body_too_large', status: 413 } } })
    await expect.poll(() => trades.heard.map(({ value }) => (value as { n: number }).n).sort()).toEqual([1, 2])
    expect(road.opened.ws).toBe(1)
  })
})
