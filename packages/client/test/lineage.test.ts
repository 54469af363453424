import { createGateway, defineApp, log, weir as upstreamAt, type WeirEvent } from '@weir/gateway'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openRoad } from '../../../scripts/road.ts'
import { movedClock } from '../../gateway/test/moved-clock.ts'
import type { Entry } from '../src/index.ts'
import { defaultPorts } from '../src/ports.ts'
import { HELLO, snapshot, world } from './manual-world.ts'
import { client, listen, serveWorld } from './world.ts'

/** A client whose server changes; it has version `9:1` of lineage `a` of a topic. */
async function open() {
  const made = world()
  const { time, weir, asked } = made
  const item = listen(weir, '/a')
  let stream: ReturnType<(typeof asked)[number]['stream']> | undefined
  /** Connects next to a server of this lineage. */
  async function connect(lineage: string) {
    stream?.say('goodbye', { retry: 1 })
    await time.settle()
    await time.advance(stream === undefined ? 0 : 1000)
    stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 60_000, lineage })
    await time.settle()
  }
  async function say(type: string, fields: object) {
    stream?.say(type, fields)
    await time.settle()
  }
  await connect('a')
  await say('snapshot', snapshot('9:1', 'of a'))
  return { ...made, item, connect, say }
}

describe('a server whose epochs went back', () => {
  test('is accepted again after half a minute without anything else, and the page can show it', async () => {
    const { time, weir, item, connect, say } = await open()
    await connect('b')
    await say('snapshot', snapshot('5:1', 'of b'))
    await time.advance(29_000)
    await say('snapshot', snapshot('5:2', 'of b'))
    expect(item.last?.value).toBe('of a')
    expect(weir.status().startedOver).toBeUndefined()
    await time.advance(1000)
    await say('snapshot', snapshot('5:3', 'of b'))
    expect(item.last).toMatchObject({
      value: 'of b',
      version: '5:3',
      lineage: 'b',
      startedOver: { version: '9:1', lineage: 'a' },
    })
    await time.settle()
    expect(weir.status().startedOver).toBe(time.now())
    await say('snapshot', snapshot('5:4', 'of b'))
    expect(item.last).toMatchObject({ version: '5:4' })
    expect(item.last?.startedOver).toBeUndefined()
  })

  test('is not accepted while it is a lagging node of the same lineage', async () => {
    const { time, item, connect, say } = await open()
    await connect('a')
    for (let passed = 0; passed < 90_000; passed += 10_000) {
      await say('snapshot', snapshot('5:1', 'behind'))
      await time.advance(10_000)
    }
    expect(item.last?.value).toBe('of a')
  })

  test('does not move a page back and forth next to a server of the old lineage, whichever answers', async () => {
    const { time, item, connect, say } = await open()
    for (let turn = 0; turn < 10; turn += 1) {
      await connect('b')
      await say('snapshot', snapshot(`5:${turn + 1}`, 'of b'))
      await time.advance(20_000)
      await connect('a')
      await say('snapshot', snapshot('9:1', 'of a'))
      await time.advance(20_000)
    }
    expect(new Set(item.heard.map(({ value }) => value))).toEqual(new Set(['of a']))
    // A lineage that was left is not accepted again, though its versions are larger.
    await connect('b')
    await say('snapshot', snapshot('5:20', 'of b'))
    await time.advance(30_000)
    await say('snapshot', snapshot('5:21', 'of b'))
    const { length } = item.heard
    for (let turn = 0; turn < 10; turn += 1) {
      await connect('a')
      await say('snapshot', snapshot(`9:${turn + 2}`, 'of a'))
      await time.advance(20_000)
      await connect('b')
      await say('snapshot', snapshot(`5:${turn + 22}`, 'of b'))
      await time.advance(5000)
    }
    expect(new Set(item.heard.slice(length).map(({ value }) => value))).toEqual(new Set(['of b']))
  })

  test.each(['since', 'memory'])('is accepted again by a reader that knows only a version, from %s', async (source) => {
    const kept = { topic: '/a', version: '9:1', value: 'old', changedAt: 1, checkedAt: 1, stale: false }
    const persist = () => ({ get: () => (source === 'memory' ? kept : undefined), set() {}, clear() {} })
    const { time, weir, asked } = world(['sse'], 0.5, undefined, { persist })
    const values: unknown[] = []
    const hear = ({ value }: Entry) => values.push(value)
    weir.subscribe('/a', hear, source === 'since' ? { since: '9:1' } : {})
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'b' })
    stream?.say('snapshot', snapshot('5:1', 'of b'))
    await time.settle()
    expect(values).not.toContain('of b')
    expect(weir.status()).toMatchObject({ state: 'stale', stale: 1 })
    await time.advance(30_000)
    stream?.say('snapshot', snapshot('5:2', 'of b'))
    await time.settle()
    expect(values.at(-1)).toBe('of b')
    expect(weir.status()).toMatchObject({ state: 'live', stale: 0 })
  })

  test('makes shown values stale as soon as its versions are refused, until the old one is confirmed', async () => {
    const { time, weir, item, connect, say } = await open()
    await connect('b')
    await say('snapshot', snapshot('5:1', 'of b'))
    expect(item.last).toMatchObject({ value: 'of a', stale: true })
    expect(weir.status()).toMatchObject({ state: 'stale', stale: 1 })
    await connect('a')
    await say('heartbeat', {
      topic: '/a',
      version: '9:1',
      checkedAt: 2,
      stale: false,
      now: time.now(),
      level: 'normal',
    })
    expect(item.last).toMatchObject({ value: 'of a', stale: false })
    expect(weir.status().state).toBe('live')
  })

  test('is accepted again by a reader of a log that knows only a position, which gets the gap and the events', async () => {
    const { time, weir, asked } = world()
    const heard: unknown[] = []
    weir.subscribe('/log', ({ gap, value }) => heard.push(gap ?? value), { since: '9:1' })
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'b' })
    const event = (position: string) => stream?.say('event', { topic: '/log', position, at: 1, event: position })
    event('5:1')
    await time.settle()
    expect(weir.status().state).toBe('stale')
    await time.advance(30_000)
    event('5:2')
    await time.settle()
    expect(heard).toEqual([{ from: '9:1', to: '5:1' }, '5:2'])
    expect(weir.status().state).toBe('live')
  })

  test('is reported as a gap in a log', async () => {
    const { time, weir, asked } = world()
    const log = listen(weir, '/log')
    await time.advance(0)
    const first = asked.at(-1)?.stream()
    first?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'a' })
    const event = (position: string) => ({ topic: '/log', position, at: 1, event: position })
    first?.say('event', event('9:1'))
    first?.say('goodbye', { retry: 1 })
    await time.settle()
    await time.advance(1000)
    const second = asked.at(-1)?.stream()
    second?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'b' })
    second?.say('event', event('5:1'))
    await time.settle()
    await time.advance(30_000)
    for (const position of ['5:4', '5:5']) second?.say('event', event(position))
    await time.settle()
    expect(log.heard.map(({ version, gap }) => gap ?? version)).toEqual([
      '9:1',
      { from: '9:1', to: '5:3' },
      '5:4',
      '5:5',
    ])
    expect(log.heard[1]?.startedOver).toEqual({ version: '9:1', lineage: 'a' })
  })

  test('is recognized by the lineage of a value, if it differs from that of the connection', async () => {
    const { time, item, connect, say } = await open()
    await connect('region')
    // A region passes on the version and lineage of its origin.
    for (let turn = 0; turn < 5; turn += 1) {
      await say('snapshot', { ...snapshot('5:1', 'behind'), lineage: 'a' })
      await time.advance(10_000)
    }
    expect(item.last?.value).toBe('of a')
    await say('snapshot', { ...snapshot('9:2', 'next'), lineage: 'a' })
    expect(item.last).toMatchObject({ value: 'next', lineage: 'a' })
  })

  test('is recognized in every message of a value that names its lineage', async () => {
    const { item, connect, say } = await open()
    await connect('region')
    const named = { topic: '/a', lineage: 'a', version: '9:3' }
    await say('snapshot', { ...snapshot('9:2', { n: 1 }), lineage: 'a' })
    await say('patch', { ...named, from: '9:2', changedAt: 3, checkedAt: 3, patch: { n: 2 } })
    expect(item.last).toMatchObject({ value: { n: 2 }, lineage: 'a' })
    await say('heartbeat', { ...named, checkedAt: 4, stale: false, now: 4, level: 'normal' })
    expect(item.last).toMatchObject({ checkedAt: 4, lineage: 'a' })
  })

  test('is recognized in a log of a region by the lineage of its events and gaps', async () => {
    const { time, weir, asked } = world()
    const heard: unknown[] = []
    weir.subscribe('/log', ({ gap, value }) => heard.push(gap ?? value), { since: '9:1' })
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'region' })
    const event = (position: string, lineage: string) =>
      stream?.say('event', { topic: '/log', position, lineage, at: 1, event: position })
    event('9:2', 'a')
    stream?.say('gap', { topic: '/log', from: '9:2', to: '5:0', lineage: 'b' })
    event('5:1', 'b')
    await time.settle()
    expect(heard).toEqual(['9:2'])
    expect(weir.entry('/log')).toMatchObject({ version: '9:2', lineage: 'a', stale: true, log: true })
    await time.advance(30_000)
    stream?.say('gap', { topic: '/log', from: '9:2', to: '5:2', lineage: 'b' })
    event('5:3', 'b')
    await time.settle()
    expect(weir.entry('/log')).toMatchObject({ version: '5:3', lineage: 'b', stale: false })
    event('9:3', 'a')
    await time.settle()
    expect(heard).toEqual(['9:2', { from: '9:2', to: '5:2' }, '5:3'])
  })

  test('does not change a reader of a log that knows only a position by a refused gap', async () => {
    const { time, weir, asked } = world()
    const heard: unknown[] = []
    weir.subscribe('/log', (entry) => heard.push(entry), { since: '9:1' })
    await time.advance(0)
    const stream = asked.at(-1)?.stream()
    stream?.say('hello', { ...HELLO, heartbeat: 60_000, lineage: 'b' })
    stream?.say('gap', { topic: '/log', from: '9:1', to: '5:0' })
    await time.settle()
    expect(heard).toEqual([])
    expect(weir.status().state).toBe('stale')
  })

  test('is recognized in a polled log by the lineage of its pages', async () => {
    const made = world(['poll'])
    const { time, weir } = made
    const log = listen(weir, '/log')
    await time.advance(0)
    /** Answers a round of polling: the position of the log, and its newer events. */
    async function answer(lineage: string, page: object, position: string) {
      const line = { topic: '/log', lineage, position, at: 1, event: position }
      for (let step = 0; step < 60 && !made.last.address.includes('/weir/values'); step += 1) {
        if (made.last.address.includes('as=poll')) made.last.answer({ lineage, ...page })
        await time.advance(1000)
      }
      made.last.answer({ now: time.now(), level: 'normal', lineage: 'region', values: [line] })
      await time.settle()
      if (made.last.address.includes('as=json')) made.last.answer({ lineage, oldest: '5:1', newest: position, ...page })
      await time.settle()
    }
    const page = (...positions: string[]) => ({
      events: positions.map((position) => ({ position, at: 1, event: position })),
    })
    await answer('a', page('9:1'), '9:1')
    expect(log.last).toMatchObject({ version: '9:1', lineage: 'a' })
    const back = { ...page('5:1', '5:2'), gap: { from: '9:1', to: '5:0' } }
    for (let round = 0; round < 20 && log.heard.length < 4; round += 1) await answer('b', back, '5:2')
    expect(log.heard.map(({ version, gap }) => gap ?? version)).toEqual([
      '9:1',
      { from: '9:1', to: '5:0' },
      '5:1',
      '5:2',
    ])
    expect(log.heard[1]).toMatchObject({ lineage: 'b', startedOver: { version: '9:1', lineage: 'a' } })
  })
})

test.each(['sse', 'ws', 'poll'] as const)(
  'a server names its lineage in every form, and another one after a restart: %s',
  async (transport) => {
    const lineages: unknown[] = []
    for (let run = 0; run < 2; run += 1) {
      await using served = await serveWorld()
      using weir = client({ url: served.url, transports: [transport], interval: 50 })
      const item = listen(weir, '/items/a')
      await expect.poll(() => item.last?.lineage).toBeTruthy()
      expect((await weir.get('/items/still')).lineage).toBe(item.last?.lineage)
      const log = listen(weir, '/trades/SOL')
      await served.sell(1)
      await expect.poll(() => log.last?.lineage).toBe(item.last?.lineage)
      expect((await weir.get('/trades/SOL')).lineage).toBe(item.last?.lineage)
      lineages.push(item.last?.lineage)
    }
    expect(new Set(lineages).size).toBe(2)
  },
)

/** A gateway with one log, its own or an origin's. */
async function serveLog(clock = movedClock(), origin?: string) {
  const events = log('/log', {
    ...{ name: 'log', key: {}, event: z.unknown() },
    ...(origin !== undefined && { from: upstreamAt({ url: origin, silenceTimeout: '1s' }) }),
  })
  const seen: WeirEvent[] = []
  const app = defineApp({ name: 'shop', use: [events] })
  const gateway = createGateway({ apps: [app], clock, heartbeat: '1s', observe: (event) => void seen.push(event) })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    url,
    publish: (event: unknown) => events.publish({}, event),
    /** The number of requested pages of the log. */
    pages: () => seen.filter((event) => event.type === 'route.answered' && event.route === '/log').length,
    [Symbol.asyncDispose]: () => gateway.close(100),
  }
}

test.each(['sse', 'ws', 'poll'] as const)(
  'a log of a region whose origin went back in its epochs continues after the gap: %s',
  async (transport) => {
    await using ahead = await serveLog(movedClock(3_600_000))
    await using right = await serveLog()
    await using road = await openRoad(ahead.url)
    const clock = movedClock()
    await using region = await serveLog(clock, road.url)
    const page = movedClock()
    const ports = { ...defaultPorts(), now: page.now }
    using weir = client({ url: region.url, transports: [transport], interval: 50, ports })
    const item = listen(weir, '/log')
    const first = await ahead.publish('ahead')
    await expect.poll(() => item.last?.value).toBe('ahead')
    const { lineage } = item.last ?? {}
    expect(lineage).toBeTruthy()

    await right.publish('right 1')
    road.leadTo(right.url)
    await expect.poll(right.pages, { timeout: 10_000 }).toBeGreaterThan(2)
    expect(item.heard).toHaveLength(1)
    // The region starts over after half a minute, the page another half minute later.
    clock.by += 30_000
    await expect.poll(() => weir.status().stale, { timeout: 10_000 }).toBe(1)
    expect(item.heard).toHaveLength(1)
    page.by += 30_000
    await right.publish('right 2')
    await expect.poll(() => item.last?.value, { timeout: 10_000 }).toBe('right 2')
    const [, gap] = item.heard
    expect(gap?.gap?.from).toBe(first)
    expect(gap?.startedOver).toEqual({ version: first, lineage })
    expect(item.last?.lineage).toBe(gap?.lineage)
    expect(gap?.lineage).not.toBe(lineage)
    expect(weir.status()).toMatchObject({ state: 'live', stale: 0 })
  },
  30_000,
)
