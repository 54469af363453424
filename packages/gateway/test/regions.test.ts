import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { compareVersions, parseVersion } from '@weir/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { redisServer } from '../../../scripts/redis-server.ts'
import { openRoad } from '../../../scripts/road.ts'
import { systemClock } from '../src/clock.ts'
import {
  type App,
  absent,
  type Clock,
  ConfigError,
  createGateway,
  type Duration,
  defineApp,
  feed,
  http,
  type LiveOptions,
  log,
  never,
  proxy,
  type Upstream,
  type WeirEvent,
  weir,
} from '../src/index.ts'
import type { OriginCall } from '../src/upstream/weir/origin-value.ts'
import { openCable } from './cable.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { movedClock } from './moved-clock.ts'

const KEY = { id: z.string() }
const VALUE = z.unknown()
/** What both sides declare alike. */
const ITEM = { name: 'item', key: KEY, value: VALUE, stale: '1m' } as const

interface Pace {
  readonly fresh: Duration
  readonly live: LiveOptions
}
const CALM: Pace = { fresh: '200ms', live: { every: '200ms', linger: '200ms' } }
const QUICK: Pace = { fresh: '10ms', live: { every: '10ms', linger: '200ms' } }

const EVENTS = { name: 'event', key: KEY, event: z.unknown(), history: { events: 20 } } as const

const BRIEF = { ...EVENTS, name: 'brief', history: { age: '150ms' } } as const

/** The app as it runs at the origin. */
function originApp(upstream: CountingUpstream, pace: Pace = CALM) {
  const from = http({ name: 'source', url: upstream.url, pastUsage: 'none', retries: 0 })
  const item = feed('/items/:id', {
    ...ITEM,
    ...pace,
    from,
    load: {
      one: async ({ id }, call) => {
        if (id === 'none') return absent('none such', { for: '5s' })
        return id === 'never' ? never('no such address') : call.get(`/${id}`)
      },
    },
  })
  const events = log('/events/:id', EVENTS)
  const brief = log('/brief/:id', BRIEF)
  const use = [item, events, brief, proxy('/api/*', { to: from })]
  return { item, events, brief, app: defineApp({ name: 'shop', use }) }
}

/** Feeds and logs that follow an origin. */
function regionApp(from: Upstream<OriginCall>, pace: Pace = CALM) {
  const item = feed('/items/:id', { ...ITEM, ...pace, from })
  const events = log('/events/:id', { ...EVENTS, from })
  const brief = log('/brief/:id', { ...BRIEF, from })
  return { item, events, brief, app: defineApp({ name: 'shop', use: [item, events, brief] }) }
}

interface Given {
  readonly origin?: string
  /** Of the origin longer than values take to grow stale: that it is silent must not count as that. */
  readonly heartbeat?: Duration
  readonly clock?: Clock
  readonly redis?: string
  readonly prefix?: string
}

async function serve<Made extends { readonly app: App }>(made: Made, { heartbeat = '100ms', ...given }: Given = {}) {
  const seen: WeirEvent[] = []
  const gateway = createGateway({
    apps: [made.app],
    heartbeat,
    ...given,
    observe: (event) => void seen.push(event),
  })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    ...made,
    gateway,
    url,
    seen,
    get: (path: string, init?: RequestInit) => fetch(`${url}${path}`, init),
    follow: async (path: string, init?: RequestInit) => new EventStream(await fetch(`${url}${path}?as=sse`, init)),
    [Symbol.asyncDispose]: () => gateway.close(100),
  }
}

/** So long that a change of the rest is told as a patch. */
const OTHER = 'the same all the time, and so long that a change is told as a patch'

/** An upstream whose answers are numbers that can be set. */
async function numbers() {
  const upstream = await countingUpstream()
  const state = { value: 1 }
  upstream.answer = (_path, response) => json(response, { n: state.value, other: OTHER })
  return Object.assign(upstream, { state })
}

/** The origin behind a road that can be cut, and a region that follows it over that. */
async function opened(given: Given & { readonly silence?: Duration } = {}) {
  const { silence: silenceTimeout = '5s', ...rest } = given
  const stack = new AsyncDisposableStack()
  const upstream = stack.use(await numbers())
  const origin = stack.use(await serve(originApp(upstream), { heartbeat: '2s', ...rest }))
  const cable = stack.use(await openCable(origin.url))
  const region = stack.use(await serve(regionApp(weir({ url: cable.url, silenceTimeout, timeout: '300ms' }))))
  return { upstream, origin, cable, region, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const sees = (stream: EventStream, n: number) =>
  stream.until('snapshot', ({ data }) => (data.value as { n: number }).n === n)
const handshakes = (seen: readonly WeirEvent[]) =>
  seen.filter((event) => event.type === 'route.answered' && event.route === '/weir/ws').length
const asked = (seen: readonly WeirEvent[]) =>
  seen.filter((event) => event.type === 'route.answered' && event.route === '/weir/values').length

function version(text: unknown) {
  const read = parseVersion(String(text))
  if (read === undefined) throw new Error(`expected a version, got ${text}`)
  return read
}

describe('a region', () => {
  test('serves the values of its origin under the same versions, in every form', async () => {
    await using all = await opened()
    const { origin, region, upstream } = all
    await using here = await region.follow('/items/a')
    await using there = await origin.follow('/items/a')
    for (const n of [1, 2, 3]) {
      upstream.state.value = n
      const [a, b] = [await sees(there, n), await sees(here, n)]
      expect(b.id).toBe(a.id)
      expect(b.data.version).toBe(a.data.version)
    }
    const [a, b] = [await origin.get('/items/a'), await region.get('/items/a')]
    expect(b.headers.get('weir-version')).toBe(a.headers.get('weir-version'))
    expect(b.headers.get('etag')).toBe(a.headers.get('etag'))
    expect(await b.text()).toBe(await a.text())
    // What nobody watches is asked for.
    const [c, d] = [await region.get('/items/b'), await origin.get('/items/b')]
    expect(c.headers.get('weir-version')).toBe(d.headers.get('weir-version'))
  })

  test('is one subscriber at its origin, however many watch, and asks for nothing beside', async () => {
    await using all = await opened()
    const { origin, region, upstream } = all
    const streams = await Promise.all(Array.from({ length: 20 }, (_, index) => region.follow(`/items/${index % 2}`)))
    await Promise.all(streams.map((stream) => sees(stream, 1)))
    upstream.state.value = 2
    await Promise.all(streams.map((stream) => sees(stream, 2)))
    expect(origin.seen.filter(({ type }) => type === 'hub.joined')).toHaveLength(1)
    expect(handshakes(origin.seen)).toBe(1)
    const before = asked(origin.seen)
    // It is served what is watched from memory.
    for (let count = 0; count < 20; count++) expect((await region.get('/items/0')).status).toBe(200)
    for (const n of [3, 4, 5, 6]) {
      upstream.state.value = n
      await Promise.all(streams.map((stream) => sees(stream, n)))
    }
    expect(asked(origin.seen)).toBe(before)
    await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
    await expect.poll(() => origin.seen.filter(({ type }) => type === 'hub.left').length, { timeout: 5000 }).toBe(1)
  })

  test('that is cut off says so with growing age, serves what it has, and catches up without going back', async () => {
    await using all = await opened({ silence: '300ms' })
    const { cable, region, upstream } = all
    await using stream = await region.follow('/items/a')
    const first = await sees(stream, 1)
    cable.cut()
    const stale = await stream.until('heartbeat', ({ data }) => data.stale === true)
    const ages: number[] = []
    for (let count = 0; count < 3; count++) {
      const { data } = await stream.until('heartbeat')
      ages.push(Number(data.now) - Number(data.checkedAt))
    }
    expect(ages).toEqual(ages.toSorted((a, b) => a - b))
    expect(ages[2]).toBeGreaterThan(Number(stale.data.now) - Number(stale.data.checkedAt))
    // On a busy machine it may have been called stale, and confirmed, before it was cut off.
    await expect.poll(async () => (await region.get('/items/a')).headers.get('weir-stale')).toBe('?1')
    expect(await (await region.get('/items/a')).json()).toMatchObject({ n: 1 })
    upstream.state.value = 2
    cable.restore()
    const second = await sees(stream, 2)
    expect(compareVersions(version(second.id), version(first.id))).toBeGreaterThan(0)
    await expect.poll(async () => (await region.get('/items/a')).headers.get('weir-stale')).toBeNull()
  })

  test('that is cut off says so soon, however long it was told before', async () => {
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    await using cable = await openCable(origin.url)
    await using region = await serve(regionApp(weir({ url: cable.url, silenceTimeout: '200ms' })))
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
    // All that time it is not asked for: it was not left alone for want of calls.
    for (let count = 0; count < 25; count++) await stream.until('heartbeat')
    cable.cut()
    const cut = performance.now()
    await stream.until('heartbeat', ({ data }) => data.stale === true)
    // Before the first call over the road that is cut has run into its timeout, which is 5 s.
    expect(performance.now() - cut).toBeLessThan(2500)
  })

  test('says what its origin says of a value that can not be confirmed, and how old it is', async () => {
    await using all = await opened({ heartbeat: '100ms' })
    const { region, upstream, origin } = all
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
    // The origin is heard all the time; it is the upstream that answers no more.
    upstream.answer = (_path, response) => json(response, {}, 500)
    const { data } = await stream.until('heartbeat', ({ data }) => data.stale === true)
    await using there = await origin.follow('/items/a')
    const said = await there.until('heartbeat', ({ data }) => data.stale === true)
    expect(Math.abs(Number(data.checkedAt) - Number(said.data.checkedAt))).toBeLessThan(50)
    const { headers } = await region.get('/items/a')
    expect(headers.get('weir-stale')).toBe('?1')
    upstream.answer = (_path, response) => json(response, { n: 1 })
    await stream.until('heartbeat', ({ data }) => data.stale === false)
  })

  test('does not take for stale what is steady, though its origin seldom says so', async () => {
    await using all = await opened({ heartbeat: '1m' })
    await using stream = await all.region.follow('/items/a')
    await sees(stream, 1)
    for (let count = 0; count < 15; count++) expect((await stream.until('heartbeat')).data.stale).toBe(false)
    expect((await all.region.get('/items/a')).headers.get('weir-stale')).toBeNull()
  })

  test('counts ages right when the clock of its origin is an hour off', async () => {
    for (const off of [-3_600_000, 3_600_000]) {
      await using all = await opened({
        heartbeat: '100ms',
        clock: { ...systemClock, now: () => systemClock.now() + off },
      })
      const { region } = all
      const asked = await region.get('/items/b')
      expect(Number(asked.headers.get('age'))).toBeLessThan(10)
      await using stream = await region.follow('/items/a')
      const { data } = await sees(stream, 1)
      const near = (moment: unknown) => expect(Math.abs(Date.now() - Number(moment))).toBeLessThan(10_000)
      near(data.checkedAt)
      // As the upstream confirms it to the origin, so it moves here.
      const { data: later } = await stream.until(
        'heartbeat',
        (beat) => Number(beat.data.checkedAt) > Number(data.checkedAt) + 500,
      )
      near(later.checkedAt)
    }
  })

  test('goes on when its origin has begun anew, in the larger epoch', async () => {
    await using upstream = await numbers()
    const first = await serve(originApp(upstream))
    await using cable = await openCable(first.url)
    await using region = await serve(regionApp(weir({ url: cable.url, silenceTimeout: '200ms', timeout: '300ms' })))
    await using stream = await region.follow('/items/a')
    const before = await sees(stream, 1)
    await first.gateway.close(50)
    upstream.state.value = 2
    await using second = await serve(originApp(upstream))
    cable.drop(second.url)
    const after = await sees(stream, 2)
    expect(version(after.id).epoch).toBeGreaterThan(version(before.id).epoch)
    await using there = await second.follow('/items/a')
    expect((await sees(there, 2)).id).toBe(after.id)
  })

  test('says of a value what its origin said before, until an origin that came back says something of it', async () => {
    await using upstream = await numbers()
    const first = await serve(originApp(upstream))
    await using cable = await openCable(first.url)
    await using region = await serve(regionApp(weir({ url: cable.url, silenceTimeout: '200ms', timeout: '300ms' })))
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
    await first.gateway.close(50)
    const stale = await stream.until('heartbeat', ({ data }) => data.stale === true)
    // The origin is back, and has no value yet.
    const waiting: ServerResponse[] = []
    upstream.answer = (_path, response) => void waiting.push(response)
    await using second = await serve(originApp(upstream))
    cable.drop(second.url)
    const subscribed = () => second.seen.some(({ type }) => type === 'hub.joined') && waiting.length > 0
    await expect.poll(subscribed, { timeout: 10_000 }).toBe(true)
    const back = Date.now()
    for (let count = 0; count < 10; count++) {
      const { data } = await stream.until('heartbeat', ({ data }) => Number(data.now) > back)
      expect(data).toMatchObject({ stale: true, version: stale.data.version })
    }
    upstream.answer = (_path, response) => json(response, { n: 2, other: OTHER })
    for (const response of waiting) json(response, { n: 2, other: OTHER })
    await sees(stream, 2)
  })

  test('that has begun anew serves the same versions', async () => {
    await using all = await opened()
    const { cable, region, upstream } = all
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
    upstream.state.value = 2
    const { id } = await sees(stream, 2)
    await using again = await serve(regionApp(weir({ url: cable.url })))
    await using other = await again.follow('/items/a')
    expect((await sees(other, 2)).id).toBe(id)
  })

  test('polls while no WebSocket is to be had, and follows again when one is', async () => {
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    await using road = await openRoad(origin.url)
    road.block('ws')
    await using region = await serve(regionApp(weir({ url: road.url, silenceTimeout: '200ms' })))
    await using stream = await region.follow('/items/a')
    await using events = await region.follow('/events/a')
    await sees(stream, 1)
    upstream.state.value = 2
    const { id } = await sees(stream, 2)
    await origin.events.publish({ id: 'a' }, 'one')
    expect((await events.until('event')).data).toMatchObject({ event: 'one' })
    await stream.until('heartbeat', ({ data }) => data.stale === false && data.version === id)
    expect(road.opened.ws).toBe(0)
    road.block()
    await expect.poll(() => road.opened.ws, { timeout: 15_000 }).toBe(1)
    upstream.state.value = 3
    await sees(stream, 3)
    await expect
      .poll(async () => {
        const before = road.opened.poll
        await stream.until('heartbeat')
        await stream.until('heartbeat')
        return road.opened.poll - before
      })
      .toBe(0)
  })

  test('has the first value at once also where no WebSocket is to be had', async () => {
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    await using road = await openRoad(origin.url)
    road.block('ws')
    await using region = await serve(regionApp(weir({ url: road.url }), { fresh: '1h', live: { every: '1h' } }))
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
  })

  test('says of what is absent, and of what fails, what its origin says', async () => {
    await using all = await opened()
    const { origin, region, upstream } = all
    for (const id of ['none', 'never']) {
      const [here, there] = [await region.get(`/items/${id}`), await origin.get(`/items/${id}`)]
      expect(here.status).toBe(404)
      expect(await here.json()).toEqual(await there.json())
      await using stream = await region.follow(`/items/${id}`)
      expect((await stream.until('absent')).id).toBe(there.headers.get('weir-version'))
    }
    upstream.answer = (_path, response) => json(response, {}, 500)
    await using failing = await region.follow('/items/failing')
    expect((await failing.until('error')).data.problem).toMatchObject({ code: 'upstream_failed' })
    expect((await region.get('/items/failing')).status).toBe(502)
  })

  test('has the level of its origin, and its own where that is worse', async () => {
    await using all = await opened()
    const { origin, region } = all
    await using stream = await region.follow('/items/a')
    await sees(stream, 1)
    origin.gateway.level.set('saver', 'test')
    expect((await stream.until('level')).data.level).toBe('saver')
    region.gateway.level.set('strained', 'test')
    expect((await stream.until('level')).data.level).toBe('strained')
    region.gateway.level.set('normal', 'test')
    expect((await stream.until('level')).data.level).toBe('saver')
    origin.gateway.level.set('maintenance', 'test')
    expect((await stream.until('level')).data.level).toBe('strained')
    expect((await region.get('/items/a')).status).toBe(200)
  })

  test('of several nodes over one Redis has the same versions on all, whoever asked', async () => {
    await using redis = await redisServer()
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    const prefix = randomUUID()
    const node = () => serve(regionApp(weir({ url: origin.url })), { redis: redis.url, prefix })
    await using one = await node()
    await using two = await node()
    const said = (await one.get('/items/b')).headers.get('weir-version')
    expect((await two.get('/items/b')).headers.get('weir-version')).toBe(said)
    await using a = await one.follow('/items/a')
    await using b = await two.follow('/items/a')
    for (const n of [1, 2, 3]) {
      upstream.state.value = n
      expect((await sees(a, n)).id).toBe((await sees(b, n)).id)
    }
    expect((await origin.get('/items/a')).headers.get('weir-version')).toBe(
      (await two.get('/items/a')).headers.get('weir-version'),
    )
  })

  test('names the lineage of its origin in patches and heartbeats too, to a region behind it', async () => {
    await using all = await opened()
    const { origin, region, upstream } = all
    await using outer = await serve(regionApp(weir({ url: region.url })))
    await using stream = await outer.follow('/items/a')
    await sees(stream, 1)
    const lineage = (await origin.get('/items/a')).headers.get('weir-lineage')
    for (const n of [2, 3]) {
      upstream.state.value = n
      expect((await sees(stream, n)).data.lineage).toBe(lineage)
    }
    expect((await stream.until('heartbeat')).data.lineage).toBe(lineage)
  })

  test('with more topics than one connection takes opens another', async () => {
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    await using region = await serve(regionApp(weir({ url: origin.url, maxTopics: 2 })))
    const streams = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((id) => region.follow(`/items/${id}`)))
    await Promise.all(streams.map((stream) => sees(stream, 1)))
    upstream.state.value = 2
    await Promise.all(streams.map((stream) => sees(stream, 2)))
    expect(handshakes(origin.seen)).toBe(3)
    for (const stream of streams) await stream[Symbol.asyncDispose]()
  })

  test('makes of patches what its origin has, to the letter', async () => {
    await using all = await opened()
    const { origin, region, upstream } = all
    upstream.answer = (_path, response) => {
      const { value: n } = upstream.state
      const more = n % 3 === 0 ? { more: { n, text: 'x'.repeat(n) } } : {}
      // What is new stands before the rest: a patch would put it last.
      json(response, n % 5 === 0 ? { first: n, ...more, n, other: OTHER } : { n, ...more, other: OTHER })
    }
    await using stream = await region.follow('/items/a')
    for (let n = 1; n <= 15; n++) {
      upstream.state.value = n
      await sees(stream, n)
      const [here, there] = [await region.get('/items/a'), await origin.get('/items/a')]
      expect(here.headers.get('etag')).toBe(there.headers.get('etag'))
      expect(await here.text()).toBe(await there.text())
    }
  })
})

describe('a log of a region', () => {
  test('has the events of its origin at the same positions, those before it too', async () => {
    await using all = await opened()
    const { origin, region } = all
    const positions: string[] = []
    for (let n = 1; n <= 5; n++) positions.push(await origin.events.publish({ id: 'a' }, { n }))
    await using stream = await region.follow('/events/a')
    const replayed: unknown[] = []
    while (replayed.length < 5) replayed.push((await stream.until('event')).id)
    expect(replayed).toEqual(positions)
    const live = await origin.events.publish({ id: 'a' }, { n: 6 })
    expect((await stream.until('event')).id).toBe(live)
    const [here, there] = [await region.get('/events/a?most=3'), await origin.get('/events/a?most=3')]
    expect(await here.text()).toBe(await there.text())
    const late = `/events/a?after=${positions[2]}`
    expect(await (await region.get(late)).text()).toBe(await (await origin.get(late)).text())
    // Of a log that nobody listens to as well.
    await origin.events.publish({ id: 'b' }, 'b')
    expect(await (await region.get('/events/b')).text()).toBe(await (await origin.get('/events/b')).text())
    const values = '/weir/values?topic=/events/b'
    const { values: said } = await (await region.get(values)).json()
    const { values: theirs, lineage } = await (await origin.get(values)).json()
    expect(said).toEqual(theirs.map((event: object) => ({ ...event, lineage })))
  })

  test('tells what it missed while it was cut off, in order', async () => {
    await using all = await opened({ silence: '300ms' })
    const { origin, region, cable } = all
    await using stream = await region.follow('/events/a')
    await origin.events.publish({ id: 'a' }, 0)
    expect((await stream.until('event')).data.event).toBe(0)
    cable.cut()
    await expect.poll(() => region.seen.some(({ type }) => type === 'push.lost'), { timeout: 5000 }).toBe(true)
    for (let n = 1; n <= 5; n++) await origin.events.publish({ id: 'a' }, n)
    const kept = await (await region.get('/events/a')).json()
    expect(kept.events).toHaveLength(1)
    cable.restore()
    for (let n = 1; n <= 5; n++) expect((await stream.until('event')).data.event).toBe(n)
  })

  test('says what was lost meanwhile', async () => {
    await using all = await opened({ silence: '300ms' })
    const { origin, region, cable } = all
    await using stream = await region.follow('/events/a')
    const first = await origin.events.publish({ id: 'a' }, 0)
    await stream.until('event')
    cable.cut()
    await expect.poll(() => region.seen.some(({ type }) => type === 'push.lost'), { timeout: 5000 }).toBe(true)
    for (let n = 1; n <= 30; n++) await origin.events.publish({ id: 'a' }, n)
    cable.restore()
    const gap = await stream.until('gap')
    expect(gap.data.from).toBe(first)
    for (let n = 11; n <= 30; n++) expect((await stream.until('event')).data.event).toBe(n)
  })

  test('says what was lost also when nothing comes after it', async () => {
    await using all = await opened({ silence: '300ms' })
    const { origin, region, cable } = all
    await using stream = await region.follow('/brief/a')
    const first = await origin.brief.publish({ id: 'a' }, 0)
    await stream.until('event')
    cable.cut()
    await expect.poll(() => region.seen.some(({ type }) => type === 'push.lost'), { timeout: 5000 }).toBe(true)
    const last = await origin.brief.publish({ id: 'a' }, 1)
    await expect.poll(async () => (await origin.brief.read({ id: 'a' })).events).toEqual([])
    cable.restore()
    expect((await stream.until('gap')).data).toMatchObject({ from: first, to: last })
  })

  test('takes no events: they belong to the origin', async () => {
    await using all = await opened()
    await expect(all.region.events.publish({ id: 'a' }, 1)).rejects.toMatchObject({ code: 'not_published' })
  })
})

describe('a whole app as a region', () => {
  test('serves feeds, logs and proxies from the origin, and asks no other upstream', async () => {
    await using upstream = await numbers()
    await using origin = await serve(originApp(upstream))
    await using dead = await countingUpstream()
    await using region = await serve(originApp(dead), { origin: origin.url })
    await using stream = await region.follow('/items/a')
    const { id } = await sees(stream, 1)
    expect(id).toBe((await origin.get('/items/a')).headers.get('weir-version'))
    expect((await region.item.get({ id: 'a' })).version).toBe(id)
    const position = await origin.events.publish({ id: 'a' }, 'e')
    expect((await region.events.read({ id: 'a' })).events).toMatchObject([{ position, event: 'e' }])
    expect(await (await region.get('/api/anything?x=1')).json()).toMatchObject({ n: 1 })
    expect(upstream.asked.has('/anything?x=1')).toBe(true)
    expect(dead.calls).toBe(0)
  })

  test('is refused when something in it is not for everybody', () => {
    const from = http({ name: 'source', url: 'http://127.0.0.1:1', pastUsage: 'none' })
    const mine = feed('/mine', { ...ITEM, key: {}, scope: 'user', from, load: { one: async () => 1 } })
    const told = log('/told', { ...EVENTS, key: {}, scope: 'tenant' })
    for (const part of [mine, told]) {
      const app = defineApp({ name: 'shop', use: [part], identify: () => undefined })
      const start = () => createGateway({ apps: [app], origin: 'http://127.0.0.1:1' })
      expect(start).toThrow(ConfigError)
      expect(start).toThrow(/scope: expected "public" for what comes from an origin/)
    }
  })

  test.each([
    ['no address', 'origin.example', /origin: expected URLs/],
    ['more than there are apps', 'http://127.0.0.1:1,http://127.0.0.1:2', /one URL for each of 1 apps/],
  ])('is refused with %s', (_, origin, said) => {
    const app = defineApp({ name: 'shop', use: [] })
    expect(() => createGateway({ apps: [app], origin })).toThrow(said)
  })
})

describe('what is declared of an origin', () => {
  const from = weir({ url: 'http://127.0.0.1:1' })
  test.each([
    ['a loader', () => feed('/a', { ...ITEM, key: {}, from, load: { one: async () => 1 } as never }), /load: expected/],
    ['a scope', () => feed('/a', { ...ITEM, key: {}, from, scope: 'user' }), /scope: expected "public"/],
    ['a log with a scope', () => log('/a', { ...EVENTS, key: {}, from, scope: 'user' }), /scope: expected "public"/],
    [
      'a log of another upstream',
      () => log('/a', { ...EVENTS, key: {}, from: http({ name: 'a', url: 'http://a.test' }) as never }),
      /from: expected an origin/,
    ],
    ['no address', () => weir({ url: undefined }), /url/],
    ['a query', () => weir({ url: 'http://a.test/?b' }), /url: expected an address without a query/],
  ])('is refused with %s', (_, declare, said) => {
    expect(declare).toThrow(ConfigError)
    expect(declare).toThrow(said)
  })
})

test('no client of a region is ever told an older version, whatever happens on the way', async () => {
  const step = fc.constantFrom('cut', 'restore', 'drop', 'drop', 'origin', 'wait', 'wait', 'client')
  const delays = fc.array(fc.constantFrom(0, 5, 30, 90), { minLength: 2, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 16 }), delays, async (steps, delays) => {
      await using upstream = await numbers()
      upstream.answer = (_path, response) => json(response, { n: upstream.calls })
      let origin = await serve(originApp(upstream, QUICK))
      // Some connections are slower than others: what was said first may come last.
      await using cable = await openCable(origin.url, ...delays)
      await using region = await serve(
        regionApp(weir({ url: cable.url, silenceTimeout: '120ms', timeout: '300ms' }), QUICK),
      )
      const clients: Promise<void>[] = []
      const end = new AbortController()
      let highest = ''
      async function client(): Promise<void> {
        const { body } = await region.get('/items/a?as=sse', { signal: end.signal })
        const stream = new EventStream(new Response(body))
        let last: string | undefined
        for (let event = await stream.next(); event !== undefined; event = await stream.next()) {
          const { version: said } = event.data
          if (typeof said !== 'string') continue
          if (last !== undefined) expect(compareVersions(version(said), version(last))).toBeGreaterThanOrEqual(0)
          last = said
          if (highest === '' || compareVersions(version(said), version(highest)) > 0) highest = said
        }
      }
      const begin = () => {
        const one = client().catch((error) => {
          if (!end.signal.aborted) throw error
        })
        one.catch(() => {})
        clients.push(one)
      }
      begin()
      try {
        for (const step of steps) {
          if (step === 'cut') cable.cut()
          if (step === 'restore') cable.restore()
          if (step === 'drop') cable.drop()
          if (step === 'client') begin()
          if (step === 'wait') await new Promise((resolve) => setTimeout(resolve, 120))
          if (step === 'origin') {
            await origin.gateway.close(20)
            origin = await serve(originApp(upstream, QUICK))
            cable.drop(origin.url)
          }
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        cable.restore()
        const there = version((await origin.get('/items/a')).headers.get('weir-version'))
        const here = async () => version((await region.get('/items/a')).headers.get('weir-version'))
        const behind = async () => compareVersions(await here(), there) < 0
        await expect.poll(behind, { timeout: 15_000, interval: 20 }).toBe(false)
        if (highest !== '') expect(compareVersions(await here(), version(highest))).toBeGreaterThanOrEqual(0)
      } finally {
        end.abort()
        await Promise.all(clients)
        await origin.gateway.close(20)
      }
    }),
    { numRuns: 12, endOnFailure: true },
  )
}, 120_000)

test('an origin whose epochs went back is followed again after half a minute, by regions of regions too, and not before', async () => {
  await using upstream = await numbers()
  // Its clock is an hour ahead.
  await using ahead = await serve(originApp(upstream), { clock: movedClock(3_600_000) })
  await using right = await serve(originApp(upstream))
  await using road = await openRoad(ahead.url)
  const [clock, second] = [movedClock(), movedClock()]
  await using region = await serve(regionApp(weir({ url: road.url })), { clock })
  await using outer = await serve(regionApp(weir({ url: region.url })), { clock: second })
  await using here = await region.follow('/items/a')
  await using there = await outer.follow('/items/a')
  const first = [await sees(here, 1), await sees(there, 1)]
  expect(first[1]?.data).toMatchObject({ version: first[0]?.data.version, lineage: first[0]?.data.lineage })
  const shown = async (of: typeof region) => (await (await of.get('/items/a')).json()).n
  const restarted = (of: typeof region) => of.seen.filter(({ type }) => type === 'topic.restarted').length

  // Rolled back, or its clock set right: what it says is older than what is known, by its version.
  road.leadTo(right.url)
  await expect.poll(() => handshakes(right.seen)).toBeGreaterThan(0)
  let n = 1
  /** The value moves until it is seen. */
  const until = async (stream: EventStream) => {
    const moving = setInterval(() => {
      n += 1
      upstream.state.value = n
    }, 100)
    const event = await stream.until('snapshot')
    clearInterval(moving)
    return event
  }
  upstream.state.value = 0
  await expect.poll(() => shown(right)).toBe(0)
  expect([await shown(region), restarted(region)]).toEqual([1, 0])
  clock.by += 30_000
  const [before] = first
  const after = await until(here)
  expect(compareVersions(version(after.data.version), version(before?.data.version))).toBeLessThan(0)
  expect(after.data.lineage).not.toBe(before?.data.lineage)
  expect(restarted(region)).toBe(1)

  // The region behind it waits for itself.
  expect([await shown(outer), restarted(outer)]).toEqual([1, 0])
  second.by += 30_000
  expect((await until(there)).data.lineage).toBe(after.data.lineage)
  expect(restarted(outer)).toBe(1)

  // The one that was left comes back: its larger versions are old now.
  road.leadTo(ahead.url)
  await expect.poll(() => handshakes(ahead.seen)).toBeGreaterThan(1)
  upstream.state.value = -1
  await expect.poll(() => shown(ahead)).toBe(-1)
  expect(await shown(region)).not.toBe(-1)
  road.leadTo(right.url)
  await until(here)
  expect(restarted(region)).toBe(1)
}, 60_000)
