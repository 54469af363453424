import { compareVersions, parseVersion } from '@weir/protocol'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import { openRoad } from '../../../scripts/road.ts'
import { type App, type Clock, createGateway, defineApp, log, type WeirEvent, weir } from '../src/index.ts'
import { movedClock } from './moved-clock.ts'

const EVENTS = { name: 'event', key: { id: z.string() }, event: z.unknown(), history: { events: 20 } } as const

async function serve<Made extends { readonly app: App }>(made: Made, clock?: Clock) {
  const seen: WeirEvent[] = []
  const gateway = createGateway({
    apps: [made.app],
    heartbeat: '100ms',
    ...(clock && { clock }),
    observe: (event) => void seen.push(event),
  })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    ...made,
    url,
    get: (path: string) => fetch(`${url}${path}`),
    follow: async (query = '', headers = {}) =>
      new EventStream(await fetch(`${url}/events/a?as=sse${query}`, { headers })),
    /** The events that are kept, as `GET` answers. */
    kept: async () => {
      const page = await (await fetch(`${url}/events/a`)).json()
      return page.events.map(({ event }: { event: unknown }) => event)
    },
    /** How many handshakes, and pages of the log, it was asked for. */
    asked: (route: '/weir/ws' | '/events/:id') =>
      seen.filter((event) => event.type === 'route.answered' && event.route === route).length,
    [Symbol.asyncDispose]: () => gateway.close(100),
  }
}

function serveOrigin(clock?: Clock) {
  const events = log('/events/:id', EVENTS)
  const publish = (event: unknown) => events.publish({ id: 'a' }, event)
  return serve({ app: defineApp({ name: 'shop', use: [events] }), publish }, clock)
}

function serveRegion(url: string, clock?: Clock) {
  const events = log('/events/:id', { ...EVENTS, from: weir({ url, silenceTimeout: '1s', timeout: '1s' }) })
  return serve({ app: defineApp({ name: 'shop', use: [events] }) }, clock)
}

/** Two origins of one app, the epochs of one an hour ahead, and the lineage of each. */
async function twoOrigins() {
  const stack = new AsyncDisposableStack()
  const ahead = stack.use(await serveOrigin(movedClock(3_600_000)))
  const right = stack.use(await serveOrigin())
  const lineageOf = async ({ get }: typeof right) => (await (await get('/weir/values?topic=/events/a')).json()).lineage
  const lineages = { ahead: await lineageOf(ahead), right: await lineageOf(right) }
  expect(new Set([lineages.ahead, lineages.right, undefined]).size).toBe(3)
  const road = stack.use(await openRoad(ahead.url))
  /** From now on the region has this origin. Resolves when the region was answered, on a connection and by pages. */
  async function lead(to: typeof right) {
    const [handshakes, pages] = [to.asked('/weir/ws'), to.asked('/events/:id')]
    road.leadTo(to.url)
    await expect.poll(() => to.asked('/weir/ws'), { timeout: 10_000 }).toBeGreaterThan(handshakes)
    return { pages: () => to.asked('/events/:id') - pages }
  }
  return { ahead, right, lineages, road, lead, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const lower = (position: unknown, than: unknown) => {
  const [a, b] = [parseVersion(String(position)), parseVersion(String(than))]
  return a !== undefined && b !== undefined && compareVersions(a, b) < 0
}

test('events, gaps and pages of a region name the lineage of the origin, a region of a region too', async () => {
  await using all = await twoOrigins()
  const { ahead: origin, lineages } = all
  const lineage = lineages.ahead
  await using region = await serveRegion(origin.url)
  await using outer = await serveRegion(region.url)
  for (let n = 1; n <= 30; n++) await origin.publish(n)
  for (const one of [region, outer]) {
    const page = await one.get('/events/a')
    expect(page.headers.get('weir-lineage')).toBe(lineage)
    expect(await page.text()).toBe(await (await origin.get('/events/a')).text())
    const { lineage: own, values } = await (await one.get('/weir/values?topic=/events/a&topic=/events/none')).json()
    expect(own).not.toBe(lineage)
    expect(values).toMatchObject([
      { lineage, event: 30 },
      { lineage, topic: '/events/none' },
    ])
    await using stream = await one.follow('', { 'last-event-id': '1:1' })
    expect((await stream.until('hello')).data.lineage).toBe(own)
    expect((await stream.until('gap')).data).toMatchObject({ from: '1:1', lineage })
    expect((await stream.until('event')).data).toMatchObject({ event: 11, lineage })
    const poll = await one.get(`/events/a?as=poll&wait=0s&after=${page.headers.get('weir-version')}`)
    expect([poll.status, poll.headers.get('weir-lineage')]).toEqual([204, lineage])
  }
  // The origin's own positions are of the lineage of its connections and answers.
  await using stream = await origin.follow()
  expect((await stream.until('event')).data).not.toHaveProperty('lineage')
})

test('a log whose origin went back in its epochs is followed again after half a minute, by regions of regions too', async () => {
  await using all = await twoOrigins()
  const { ahead, right, lineages, road, lead } = all
  const [clock, second] = [movedClock(), movedClock()]
  await using region = await serveRegion(road.url, clock)
  await using outer = await serveRegion(region.url, second)
  const first = await ahead.publish('ahead 1')
  await using here = await region.follow()
  await using there = await outer.follow()
  for (const stream of [here, there])
    expect((await stream.until('event')).data).toMatchObject({ position: first, lineage: lineages.ahead })

  await right.publish('right 1')
  const { pages } = await lead(right)
  // The connection brings another lineage, so the log is polled.
  await expect.poll(pages, { timeout: 10_000 }).toBeGreaterThan(1)
  expect(await region.kept()).toEqual(['ahead 1'])

  clock.by += 30_000
  const gap = await here.until('gap')
  expect(gap.data).toMatchObject({ from: first, lineage: lineages.right })
  expect(lower(gap.data.to, first)).toBe(true)
  const event = await here.until('event')
  expect(event.data).toMatchObject({ event: 'right 1', lineage: lineages.right })
  await right.publish('right 2')
  expect((await here.until('event')).data.event).toBe('right 2')

  // The region behind it waits for itself.
  const polled = region.asked('/events/:id')
  await expect.poll(() => region.asked('/events/:id') - polled, { timeout: 10_000 }).toBeGreaterThan(1)
  expect(await outer.kept()).toEqual(['ahead 1'])
  second.by += 30_000
  expect((await there.until('gap')).data).toMatchObject({ from: first, lineage: lineages.right })
  for (const n of [1, 2]) expect((await there.until('event')).data.event).toBe(`right ${n}`)

  // A reader that comes back with a position of before is sent the gap, and what followed.
  await using back = await region.follow(`&since=${first}`)
  expect((await back.until('gap')).data).toMatchObject({ from: first, to: gap.data.to, lineage: lineages.right })
  expect((await back.until('event')).data.event).toBe('right 1')
  await using resumed = await region.follow('', { 'last-event-id': event.id })
  expect((await resumed.until('event')).data.event).toBe('right 2')

  // The one that was left comes back: its larger positions are old now.
  await ahead.publish('ahead 2')
  const returned = await lead(ahead)
  await expect.poll(returned.pages, { timeout: 10_000 }).toBeGreaterThan(1)
  expect(await region.kept()).toEqual(['right 1', 'right 2'])
  await lead(right)
  await right.publish('right 3')
  expect((await here.until('event')).data.event).toBe('right 3')
}, 60_000)

test('two origins that answer in turns do not move a log back and forth', async () => {
  await using all = await twoOrigins()
  const { ahead, right, road, lead } = all
  const clock = movedClock()
  await using region = await serveRegion(road.url, clock)
  await using stream = await region.follow()
  await ahead.publish(0)
  const others: string[] = []
  const next = async () => {
    for (;;) {
      const event = await stream.next()
      if (event === undefined || event.event === 'event') return event?.data.event
      others.push(event.event)
    }
  }
  expect(await next()).toBe(0)
  for (let turn = 1; turn <= 3; turn++) {
    await right.publish('right')
    const { pages } = await lead(right)
    await expect.poll(pages, { timeout: 10_000 }).toBeGreaterThan(1)
    clock.by += 20_000
    await lead(ahead)
    await ahead.publish(turn)
    expect(await next()).toBe(turn)
  }
  expect(others).not.toContain('gap')
}, 60_000)

test('a page of a log without listeners begins after the position that was asked for, whichever origin was read last', async () => {
  await using all = await twoOrigins()
  const { ahead, right, road } = all
  await using region = await serveRegion(road.url)
  const numbers = async (path: string) => {
    const page = await (await region.get(path)).json()
    return page.events.map(({ event }: { event: unknown }) => event)
  }
  await ahead.publish('ahead')
  expect(await numbers('/events/a')).toEqual(['ahead'])
  const positions: string[] = []
  for (let n = 1; n <= 5; n++) positions.push(await right.publish(n))
  road.leadTo(right.url)
  expect(await numbers(`/events/a?after=${positions[2]}&most=1`)).toEqual([4])
  expect(await numbers(`/events/a?after=${positions[3]}`)).toEqual([5])
})
