import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { createClient as createSseClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import {
  type Caller,
  defineApp,
  type GatewayOptions,
  type HistoryOptions,
  type Identity,
  log,
  type WeirEvent,
} from '../src/index.ts'
import { RawSocket } from './raw-socket.ts'
import { RUNTIMES, type Served } from './served.ts'

const [NODE, WEB] = RUNTIMES as [(typeof RUNTIMES)[number], (typeof RUNTIMES)[number]]

function identify({ header }: Caller): Identity | undefined {
  const user = header('authorization')
  return user === undefined ? undefined : { user, tenant: 'acme' }
}

/** An app with a log of numbers for all, one for each user and one for each tenant. */
async function open(serve: typeof NODE.serve, history: HistoryOptions = {}, options: Partial<GatewayOptions> = {}) {
  const trades = log('/trades/:mint', {
    name: 'trades',
    key: { mint: z.string().regex(/^[A-Z]+$/, 'expected capitals') },
    event: z.object({ n: z.int(), note: z.string().optional(), raw: z.unknown() }),
    history,
  })
  const mine = log('/mine', { name: 'mine', key: {}, event: z.object({ n: z.int() }), scope: 'user' })
  const ours = log('/ours', { name: 'ours', key: {}, event: z.object({ n: z.int() }), scope: 'tenant' })
  const told: WeirEvent[] = []
  const app = defineApp({ name: 'test', use: [trades, mine, ours], identify, graphql: { introspection: true } })
  const observe = (event: WeirEvent) => void told.push(event)
  const site = await serve({ apps: [app], observe, ...options })
  const sell = async (from: number, to = from, note?: string) => {
    for (let n = from; n <= to; n++) await trades.publish({ mint: 'SOL' }, { n, note, raw: null })
  }
  const ask = async (query: string, variables: unknown = {}, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await site.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    })
    return (await answer.json()) as Result
  }
  return {
    ...site,
    trades,
    mine,
    ours,
    sell,
    ask,
    get executions() {
      return told.filter(({ type }) => type === 'graphql.executed').length
    },
    count: (type: WeirEvent['type']) => told.filter((event) => event.type === type).length,
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  }
}

interface Page {
  readonly events: readonly { readonly position: string; readonly event: { readonly n: number } }[]
  readonly oldest: string
  readonly newest: string
  readonly gap: { readonly from: string; readonly to: string } | null
}

interface News {
  readonly position: string
  readonly event: { readonly n: number } | null
  readonly gap: { readonly from: string; readonly to: string } | null
}

interface Result {
  readonly data?: Readonly<Record<string, unknown>>
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[]
}

const FOLLOW = `subscription ($since: String) {
  trades(mint: "SOL", since: $since) { position event { n } gap { from to } }
}`

const offset = (position: string | undefined) => Number(position?.split(':')[1])
const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)

/** An event by its number, a gap by where it begins and ends. */
const brief = ({ event, gap }: News) => (gap === null ? event?.n : `${offset(gap.from)}-${offset(gap.to)}`)

async function subscribe(site: Served, since?: string | null, query = FOLLOW, headers: Record<string, string> = {}) {
  const address = new URLSearchParams({ query, variables: JSON.stringify({ since }) })
  const accept = { accept: 'text/event-stream', ...headers }
  return new EventStream(await site.fetch(`/graphql?${address}`, { headers: accept }))
}

/** The next so many events and gaps. */
async function heard(stream: EventStream, count: number): Promise<News[]> {
  const all: News[] = []
  while (all.length < count) {
    const { data } = await stream.until('next')
    all.push((data as unknown as { data: { trades: News } }).data.trades)
  }
  return all
}

describe.each(RUNTIMES)('a log in GraphQL, on runtime $name', ({ serve }) => {
  test('is a page of its history, which goes on after a position', async () => {
    await using site = await open(serve)
    await site.sell(1, 5)
    const query = `query ($after: String, $most: Int = 2) {
      trades(mint: "SOL", after: $after, most: $most) { events { position at event { n note raw } } oldest newest gap { from } }
    }`
    const first = (await site.ask(query)).data?.trades as Page
    expect(first).toEqual({
      events: [1, 2].map((n) => ({
        position: expect.stringMatching(new RegExp(`^\\d+:${n}$`)),
        at: expect.any(Number),
        event: { n, note: null, raw: null },
      })),
      oldest: expect.stringMatching(/:1$/),
      newest: expect.stringMatching(/:5$/),
      gap: null,
    })
    const rest = (await site.ask(query, { after: first.events[1]?.position, most: 1000 })).data?.trades as Page
    expect(rest.events.map(({ event }) => event.n)).toEqual([3, 4, 5])
  })

  test('has a hundred events a page unless asked for more', async () => {
    await using site = await open(serve)
    await site.sell(1, 120)
    for (const [most, count] of [
      ['', 100],
      [', most: null', 100],
      [', most: 119', 119],
    ] as const) {
      const { data } = await site.ask(`{ trades(mint: "SOL"${most}) { events { position } } }`)
      expect((data as { trades: Page }).trades.events).toHaveLength(count)
    }
  })

  test('says what of it is gone', async () => {
    await using site = await open(serve, { events: 3 })
    await site.sell(1, 9)
    const epoch = (await site.trades.read({ mint: 'SOL' })).newest.split(':')[0]
    const query = `{ trades(mint: "SOL", after: "${epoch}:2") { events { event { n } } gap { from to } } }`
    expect((await site.ask(query)).data?.trades).toEqual({
      events: [7, 8, 9].map((n) => ({ event: { n } })),
      gap: { from: `${epoch}:2`, to: `${epoch}:6` },
    })
  })

  test.each([
    ['{ trades(mint: "sol") { newest } }', 'bad_key', /^mint: expected capitals/],
    ['{ trades(mint: "SOL", after: "yesterday") { newest } }', 'bad_version', /^after: expected epoch:offset|^after: /],
    ['{ trades(mint: "SOL", most: 1001) { newest } }', 'bad_request', /^most: expected a whole number from 1 to 1000/],
    ['{ mine { newest } }', 'unauthenticated', /expected a known user/],
  ])('refuses %s', async (query, code, message) => {
    await using site = await open(serve)
    const { data, errors } = await site.ask(query)
    expect(Object.values(data ?? {})).toEqual([null])
    expect(errors).toMatchObject([{ message: expect.stringMatching(message), extensions: { code, retry: false } }])
  })

  test('costs ten times what a value does, since its fields are read of each event', async () => {
    await using site = await open(serve)
    const pages = (count: number) =>
      range(1, count)
        .map((id) => `p${id}: trades(mint: "SOL") { events { event { n } } }`)
        .join(' ')
    // Each: ten for the log and three for the fields in it, times ten.
    expect((await site.ask(`{ ${pages(7)} }`)).errors).toBeUndefined()
    const { errors } = await site.ask(
      `{ ${pages(7)} ...one } fragment one on Query { ...{ p8: trades(mint: "SOL") { newest } } }`,
    )
    expect(errors).toMatchObject([
      { message: 'maxCost: expected at most 1000, got 1020', extensions: { code: 'query_too_complex' } },
    ])
  })

  test('is followed: what is kept, and then each event, once and in order', async () => {
    await using site = await open(serve)
    await site.sell(1, 3)
    await using stream = await subscribe(site)
    const before = await heard(stream, 3)
    await site.sell(4, 300)
    const after = await heard(stream, 297)
    expect([...before, ...after].map(brief)).toEqual(range(1, 300))
    expect([...before, ...after].map(({ position }) => offset(position))).toEqual(range(1, 300))
  })

  test('is resumed after a position, and a gap is said before what follows it', async () => {
    await using site = await open(serve, { events: 3 })
    await site.sell(1, 9)
    const { newest } = await site.trades.read({ mint: 'SOL' })
    const [epoch] = newest.split(':')
    await using there = await subscribe(site, `${epoch}:7`)
    expect((await heard(there, 2)).map(brief)).toEqual([8, 9])
    await using gone = await subscribe(site, `${epoch}:2`)
    const [gap, ...events] = await heard(gone, 4)
    expect(gap).toEqual({ position: `${epoch}:6`, event: null, gap: { from: `${epoch}:2`, to: `${epoch}:6` } })
    expect(events.map(brief)).toEqual([7, 8, 9])
    await using other = await subscribe(site, `1:2`)
    expect((await heard(other, 4)).map(brief)).toEqual(['2-6', 7, 8, 9])
  })

  test('is refused with the reason when its position is none', async () => {
    await using site = await open(serve)
    await using stream = await subscribe(site, 'yesterday')
    const { data } = await stream.until('next')
    expect(data).toMatchObject({ errors: [{ path: ['trades'], extensions: { code: 'bad_version' } }] })
    expect(await stream.next()).toBeUndefined()
  })

  test('of others is heard by nobody: each user has his own, and a tenant its own, in one execution for its users', async () => {
    await using site = await open(serve)
    const follow = (field: string, user: string) =>
      subscribe(site, null, `subscription { ${field} { event { n } } }`, { authorization: user })
    await using ann = await follow('mine', 'ann')
    await using bob = await follow('mine', 'bob')
    await using annOfAcme = await follow('ours', 'ann')
    await using bobOfAcme = await follow('ours', 'bob')
    await site.mine.publish({}, { n: 1 }, { user: 'ann', tenant: 'acme' })
    await site.mine.publish({}, { n: 2 }, { user: 'bob', tenant: 'acme' })
    await site.ours.publish({}, { n: 3 }, { user: 'ann', tenant: 'acme' })
    expect((await ann.until('next')).data).toEqual({ data: { mine: { event: { n: 1 } } } })
    expect((await bob.until('next')).data).toEqual({ data: { mine: { event: { n: 2 } } } })
    for (const stream of [annOfAcme, bobOfAcme])
      expect((await stream.until('next')).data).toEqual({ data: { ours: { event: { n: 3 } } } })
    expect(site.executions).toBe(3)
  })
})

test('whoever resumes wherever: each event is heard once and in order, but for those in a gap that was said', async () => {
  const visits = fc.array(fc.record({ published: fc.nat(12), read: fc.nat(12) }), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 8 }), visits, async (events, visits) => {
      await using site = await open(WEB.serve, { events })
      let published = 0
      let since: string | undefined
      /** Numbers that were heard, or said to be gone: the offset of an event is its number. */
      const known: number[] = []
      const take = ({ position, event, gap }: News) => {
        known.push(...(gap === null ? [event?.n ?? 0] : range(offset(gap.from) + 1, offset(gap.to))))
        expect(offset(position)).toBe(known.at(-1))
        since = position
      }
      for (const visit of visits) {
        await using stream = await subscribe(site, since)
        await site.sell(published + 1, published + visit.published)
        published += visit.published
        // A first visit begins with the oldest that is kept, which may be any.
        for (let read = 0; read < visit.read && offset(since ?? ':0') < published; read++) {
          const [news] = await heard(stream, 1)
          if (news !== undefined) take(news)
        }
      }
      await using stream = await subscribe(site, since)
      while (offset(since ?? ':0') < published) for (const news of await heard(stream, 1)) take(news)
      expect(known).toEqual(range(known[0] ?? 1, published))
    }),
    { numRuns: 60 },
  )
}, 60_000)

describe.each([
  ['graphql-sse', (url: string) => createSseClient({ url, retryAttempts: 0 })],
  [
    'graphql-ws',
    (url: string) => createSocketClient({ url: url.replace('http', 'ws'), retryAttempts: 0, webSocketImpl: WebSocket }),
  ],
] as const)('the client of %s', (_name, connect) => {
  test('hears each event, and goes on after the last when it comes back', async () => {
    await using site = await open(NODE.serve)
    const [url = ''] = await site.gateway.listen({ port: 0 })
    await site.sell(1, 3)
    const visit = async (since: string | undefined, count: number) => {
      const client = connect(`${url}/graphql`)
      const results = client.iterate<{ trades: News }>({ query: FOLLOW, variables: { since } })
      const all: News[] = []
      while (all.length < count) all.push((await results.next()).value?.data?.trades as News)
      await results.return?.()
      client.dispose()
      return all
    }
    const first = await visit(undefined, 3)
    await site.sell(4, 6)
    const then = await visit(first.at(-1)?.position, 3)
    expect([...first, ...then].map(brief)).toEqual(range(1, 6))
    await expect.poll(() => site.count('hub.left')).toBe(site.count('hub.joined'))
  })
})

test('1,000 who came with different positions are one execution for each event', async () => {
  await using site = await open(NODE.serve)
  const [url = ''] = await site.gateway.listen({ port: 0 })
  await site.sell(1, 10)
  const [epoch] = (await site.trades.read({ mint: 'SOL' })).newest.split(':')
  // One connection has at most 500.
  const sockets = range(1, 2).map(() =>
    createSocketClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket }),
  )
  const sse = createSseClient({ url: `${url}/graphql` })
  const last = new Map<number, number>()
  for (const id of range(0, 999)) {
    const sink = {
      next: ({ data }: { data?: { trades: News } | null }) => void last.set(id, data?.trades.event?.n ?? 0),
      error() {},
      complete() {},
    }
    const since = `${epoch}:${id % 10}`
    if (id < 50) sse.subscribe<{ trades: News }>({ query: FOLLOW, variables: { since, unknown: id } }, sink)
    else sockets[id % 2]?.subscribe<{ trades: News }>({ query: FOLLOW, variables: { since } }, sink)
  }
  const all = (n: number) =>
    expect.poll(() => [...last.values()].filter((one) => one === n).length, { timeout: 20_000 }).toBe(1000)
  await all(10)
  expect(site.executions).toBe(10)
  await site.sell(11, 13)
  await all(13)
  expect(site.executions).toBe(13)
  for (const socket of sockets) await socket.dispose()
  sse.dispose()
}, 60_000)

test('one who reads too slowly is cut, also with what it follows beside, and goes on where it was', async () => {
  await using site = await open(NODE.serve, { events: 10 })
  const [url = ''] = await site.gateway.listen({ port: 0 })
  await using raw = await RawSocket.open(url, '/graphql', ['sec-websocket-protocol: graphql-transport-ws'])
  const payload = { query: FOLLOW.replace('{ n }', '{ n note }') }
  for (const message of [{ type: 'connection_init' }, { id: 'a', type: 'subscribe', payload }])
    raw.say(JSON.stringify(message))
  await site.sell(1)
  await raw.until(() => raw.texts.length >= 2)
  raw.socket.pause()
  // What the kernels hold is a few megabytes, and what stays for those who lag is one.
  const note = 'x'.repeat(100_000)
  for (let n = 2; site.count('hub.cut') === 0; n += 10) {
    await site.sell(n, n + 9, note)
    await setImmediate()
  }
  raw.socket.resume()
  await expect.poll(() => raw.closedWith).toBe(1001)
  const news = raw.texts
    .map((text) => JSON.parse(text))
    .filter(({ type }) => type === 'next')
    .map(({ payload }) => payload.data.trades as News)
  expect(news.map(brief)).toEqual(range(1, news.length))
  await using back = await subscribe(site, news.at(-1)?.position)
  const [first] = await heard(back, 1)
  expect(first?.gap?.from).toBe(news.at(-1)?.position)
  await back[Symbol.asyncDispose]()
  await expect.poll(() => site.count('hub.left')).toBe(site.count('hub.joined'))
})
