import type { LogPage } from '@weir/protocol'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream, type StreamEvent } from '../../../scripts/event-stream.ts'
import { type Caller, defineApp, type GatewayOptions, type HistoryOptions, log, type Routes } from '../src/index.ts'
import { ManualClock } from './manual-clock.ts'
import { RUNTIMES, type Served } from './served.ts'

/** An app with one log of numbers, and an address by which they are published. */
function trading(history: HistoryOptions = { events: 1000, age: '1h' }) {
  const trades = log('/trades/:mint', {
    name: 'trades',
    key: { mint: z.string().regex(/^[A-Z]+$/, 'expected capitals') },
    event: z.object({ n: z.number(), note: z.string().default('') }),
    history,
  })
  const routes = new Hono().post('/sell/:mint', async (context) =>
    context.text(await trades.publish({ mint: context.req.param('mint') }, await context.req.json())),
  )
  const app = defineApp({ name: 'test', use: [trades], routes: routes as Routes })
  const SOL = { mint: 'SOL' }
  const sell = async (from: number, to = from) => {
    const positions: string[] = []
    for (let n = from; n <= to; n++) positions.push(await trades.publish(SOL, { n }))
    return positions
  }
  return { trades, app, sell }
}

const waitingFor = (site: Served, connections: number) =>
  expect.poll(() => site.gateway.metrics.summary.connections).toBe(connections)

const page = async (site: Served, path: string): Promise<LogPage> => (await site.fetch(path)).json()
const numbers = ({ events }: LogPage) => events.map(({ event }) => (event as { n: number }).n)

const follow = async (site: Served, path = '/trades/SOL?as=sse', headers: Record<string, string> = {}) =>
  new EventStream(await site.fetch(path, { headers }))

/** The next so many events and gaps; the numbers of events, and of gaps where they begin and end. */
async function heard(stream: EventStream, count: number): Promise<(number | string)[]> {
  const all: (number | string)[] = []
  while (all.length < count) {
    const next = await stream.next()
    if (next === undefined) throw new Error(`expected ${count} events, got ${all.length}`)
    if (next.event === 'event') all.push(numberOf(next))
    if (next.event === 'gap') all.push(`${offset(next.data.from)}-${offset(next.data.to)}`)
  }
  return all
}

const numberOf = ({ data }: StreamEvent) => (data.event as { n: number }).n
const offset = (position: unknown) => String(position).split(':')[1]
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe.each(RUNTIMES)('a log, on runtime $name', ({ serve }) => {
  async function open(history?: HistoryOptions, options: Partial<GatewayOptions> = {}) {
    const made = trading(history)
    const site = await serve({ apps: [made.app], ...options })
    return { ...made, site, [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]() }
  }

  describe('as JSON', () => {
    test('is what is kept, oldest first, each event with its position and when it came', async () => {
      await using clocked = await open(undefined, { clock: new ManualClock() })
      const { site, sell } = clocked
      const [first, second] = await sell(1, 2)
      const answer = await site.fetch('/trades/SOL')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('weir-version')).toBe(second)
      const at = Date.UTC(2026, 0, 1)
      expect(await answer.json()).toEqual({
        events: [
          { position: first, at, event: { n: 1, note: '' } },
          { position: second, at, event: { n: 2, note: '' } },
        ],
        oldest: first,
        newest: second,
        lineage: answer.headers.get('weir-lineage'),
      })
    })

    test('goes on after a position, so many at a time', async () => {
      await using opened = await open()
      const { site, sell } = opened
      await sell(1, 10)
      const seen: number[] = []
      let after = ''
      for (let pages = 0; pages < 4; pages++) {
        const part = await page(site, `/trades/SOL?most=4${after}`)
        seen.push(...numbers(part))
        after = `&after=${part.events.at(-1)?.position ?? part.newest}`
      }
      expect(seen).toEqual(range(1, 10))
    })

    test('of nothing yet has a position to go on from', async () => {
      await using opened = await open()
      const { site, sell } = opened
      const empty = await page(site, '/trades/SOL')
      expect(empty).toEqual({
        events: [],
        oldest: expect.stringMatching(/^\d+:1$/),
        newest: expect.stringMatching(/:0$/),
        lineage: expect.any(String),
      })
      await sell(7)
      const then = await page(site, `/trades/SOL?after=${empty.newest}`)
      expect([numbers(then), then.gap]).toEqual([[7], undefined])
    })

    test('says what of it is gone', async () => {
      await using opened = await open({ events: 3 })
      const { site, sell } = opened
      const positions = await sell(1, 10)
      const part = await page(site, `/trades/SOL?after=${positions[1]}`)
      expect([numbers(part), part.gap]).toEqual([[8, 9, 10], { from: positions[1], to: positions[6] }])
      const whole = await page(site, `/trades/SOL?after=${positions[6]}`)
      expect([numbers(whole), whole.gap, whole.oldest]).toEqual([[8, 9, 10], undefined, positions[7]])
    })

    test('keeps no event longer than it says, and says that it is gone', async () => {
      const clock = new ManualClock()
      await using opened = await open({ age: '10s' }, { clock })
      const { site, sell } = opened
      const [first] = await sell(1)
      await clock.advance(6000)
      const [second] = await sell(2)
      await clock.advance(6000)
      expect(numbers(await page(site, '/trades/SOL'))).toEqual([2])
      await clock.advance(6000)
      const part = await page(site, `/trades/SOL?after=${first}`)
      expect(part).toMatchObject({ events: [], newest: second, gap: { from: first, to: second } })
    })

    test.each([
      ['?after=banana', 'bad_version', 'after: expected epoch:sequence, got "banana"'],
      ['?most=0', 'bad_request', 'most: expected a whole number from 1 to 1000, got "0"'],
      ['?most=1001', 'bad_request', 'most: expected a whole number from 1 to 1000, got "1001"'],
      ['?most=1e2', 'bad_request', 'most: expected a whole number from 1 to 1000, got "1e2"'],
      ['?since=1:1', 'bad_key', 'since: /trades/:mint does not take it in this form, only as, after, most; see as'],
      ['?as=sse&after=1:1', 'bad_key', 'after: /trades/:mint does not take it in this form, only as, since; see as'],
      ['?as=sse&since=now', 'bad_version', 'since: expected epoch:sequence, got "now"'],
      ['?as=poll&after=1:1&wait=2m', 'bad_request', 'wait: expected a duration from 0s to 60s, such as 25s, got "2m"'],
    ])('with %s is refused', async (query, code, detail) => {
      await using opened = await open()
      const refused = await opened.site.fetch(`/trades/SOL${query}`)
      expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining({ code, detail })])
    })
  })

  describe('live', () => {
    test('is replayed, and then goes on, with a heartbeat that says how far it is', async () => {
      await using opened = await open(undefined, { heartbeat: '50ms' })
      const { site, sell } = opened
      await sell(1, 3)
      await using stream = await follow(site)
      expect(await stream.next()).toMatchObject({ event: 'hello' })
      expect(await heard(stream, 3)).toEqual([1, 2, 3])
      const [position] = await sell(4)
      expect(await stream.until('event')).toEqual({
        event: 'event',
        id: position,
        data: { topic: '/trades/SOL', position, at: expect.any(Number), event: { n: 4, note: '' } },
      })
      expect(await stream.until('heartbeat')).toMatchObject({
        data: { topic: '/trades/SOL', version: position, stale: false },
      })
    })

    test('begins after Last-Event-ID, else after since, with nothing doubled and nothing left out', async () => {
      await using opened = await open()
      const { site, sell } = opened
      const positions = await sell(1, 5)
      const since = `/trades/SOL?as=sse&since=${positions[1]}`
      await using first = await follow(site, since)
      expect(await heard(first, 3)).toEqual([3, 4, 5])
      await using second = await follow(site, since, { 'last-event-id': positions[3] ?? '' })
      expect(await heard(second, 1)).toEqual([5])
      await using third = await follow(site, '/trades/SOL?as=sse', { 'last-event-id': positions[4] ?? '' })
      await third.next()
      expect(await third.next()).toMatchObject({ event: 'heartbeat', data: { version: positions[4] } })
      await sell(6)
      for (const stream of [first, second, third]) expect(await heard(stream, 1)).toEqual([6])
    })

    test('says a gap aloud before it goes on, and a reader that comes back with its id hears of none', async () => {
      await using opened = await open({ events: 3 })
      const { site, sell } = opened
      const positions = await sell(1, 10)
      await using stream = await follow(site, `/trades/SOL?as=sse&since=${positions[1]}`)
      const gap = await stream.until('gap')
      expect(gap).toEqual({
        event: 'gap',
        id: positions[6],
        data: { topic: '/trades/SOL', from: positions[1], to: positions[6] },
      })
      expect(await heard(stream, 3)).toEqual([8, 9, 10])
      await using again = await follow(site, '/trades/SOL?as=sse', { 'last-event-id': gap.id ?? '' })
      expect(await heard(again, 3)).toEqual([8, 9, 10])
    })

    test('of another epoch is a gap: nothing is known of what was lost', async () => {
      const { app, sell } = trading()
      const before = await serve({ apps: [app] })
      const positions = await sell(1, 5)
      await before[Symbol.asyncDispose]()
      // Epochs are milliseconds, and this restart is faster than any real one.
      await expect.poll(() => Date.now(), { interval: 1 }).toBeGreaterThan(Number(positions[4]?.split(':')[0]))
      await using after = await serve({ apps: [app] })
      await sell(6, 7)
      const part = await page(after, `/trades/SOL?after=${positions[4]}`)
      expect(numbers(part)).toEqual([6, 7])
      expect(part.gap).toEqual({ from: positions[4], to: expect.stringMatching(/^\d+:0$/) })
      expect(Number(part.newest.split(':')[0])).toBeGreaterThan(Number(positions[4]?.split(':')[0]))
      await using stream = await follow(after, '/trades/SOL?as=sse', { 'last-event-id': positions[4] ?? '' })
      expect(await heard(stream, 3)).toEqual(['5-0', 6, 7])
    })

    test('a position that was never given is a gap, and not a wait for ever', async () => {
      await using opened = await open()
      const [position = ''] = await opened.sell(1)
      const beyond = position.replace(/:1$/, ':99')
      await using stream = await follow(opened.site, `/trades/SOL?as=sse&since=${beyond}`)
      expect(await heard(stream, 1)).toEqual(['99-1'])
      await opened.sell(2)
      expect(await heard(stream, 1)).toEqual([2])
    })

    test('a server that goes says goodbye', async () => {
      await using opened = await open()
      await using stream = await follow(opened.site)
      await stream.until('hello')
      await waitingFor(opened.site, 1)
      const closed = opened.site.gateway.close(1000)
      expect(await stream.until('goodbye')).toMatchObject({ data: { retry: expect.any(Number) } })
      expect(await stream.next()).toBeUndefined()
      await closed
    })
  })

  describe('by long poll', () => {
    test('answers with what there is, or when the next event comes', async () => {
      await using opened = await open()
      const { site, sell } = opened
      const first = await page(site, '/trades/SOL?as=poll')
      const waiting = page(site, `/trades/SOL?as=poll&after=${first.newest}&wait=60s`)
      await waitingFor(site, 1)
      const [position] = await sell(1)
      expect(await waiting).toMatchObject({ events: [{ position, event: { n: 1 } }], newest: position })
      await waitingFor(site, 0)
      expect(numbers(await page(site, `/trades/SOL?as=poll&after=${first.newest}&wait=60s`))).toEqual([1])
    })

    test('is 204 when the wait is over', async () => {
      await using opened = await open()
      const [position] = await opened.sell(1)
      const answer = await opened.site.fetch(`/trades/SOL?as=poll&after=${position}&wait=50ms`)
      expect([answer.status, await answer.text()]).toEqual([204, ''])
      expect(answer.headers.get('weir-version')).toBe(position)
      await waitingFor(opened.site, 0)
    })

    test('of a client that leaves is gone at once, and a server that goes sends it away', async () => {
      await using opened = await open()
      const { site, sell } = opened
      const [position] = await sell(1)
      const path = `/trades/SOL?as=poll&after=${position}&wait=60s`
      const leave = new AbortController()
      const gone = site.fetch(path, { signal: leave.signal }).catch(() => {})
      await waitingFor(site, 1)
      leave.abort()
      await gone
      await waitingFor(site, 0)
      const polled = site.fetch(path)
      await waitingFor(site, 1)
      const closed = site.gateway.close(60_000)
      const answer = await polled
      expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ code: 'draining' })])
      await closed
    })

    test('of another epoch says the gap at once', async () => {
      await using opened = await open()
      const part = await page(opened.site, '/trades/SOL?as=poll&after=1:5&wait=60s')
      expect(part.gap).toEqual({ from: '1:5', to: part.newest })
    })
  })

  describe('among other topics', () => {
    test('is told on a stream of many, and by its newest event among values', async () => {
      await using opened = await open()
      const { site, trades, sell } = opened
      const [, newest] = await sell(1, 2)
      await using stream = await follow(site, '/weir/stream?topic=/trades/SOL&topic=/trades/JUP&topic=/trades/x')
      expect(await stream.until('error')).toMatchObject({ data: { topic: '/trades/x', problem: { code: 'bad_key' } } })
      expect(await heard(stream, 2)).toEqual([1, 2])
      await trades.publish({ mint: 'JUP' }, { n: 3 })
      expect(await stream.until('event')).toMatchObject({ data: { topic: '/trades/JUP', event: { n: 3 } } })
      const values = await site.fetch('/weir/values?topic=/trades/SOL&topic=/trades/NEW&topic=/trades/x')
      expect(await values.json()).toMatchObject({
        values: [
          { topic: '/trades/SOL', position: newest, at: expect.any(Number), event: { n: 2 } },
          { topic: '/trades/NEW', position: expect.stringMatching(/^\d+:0$/) },
          { topic: '/trades/x', problem: { code: 'bad_key' } },
        ],
      })
    })

    test('goes on after what the client has of each, on a stream of many', async () => {
      await using opened = await open()
      const { site, trades, sell } = opened
      const positions = await sell(1, 3)
      await trades.publish({ mint: 'JUP' }, { n: 9 })
      const both = '/weir/stream?topic=/trades/SOL&topic=/trades/JUP'
      await using stream = await follow(site, `${both}&since=${positions[1]}&since=`)
      expect((await heard(stream, 2)).toSorted()).toEqual([3, 9])
      expect((await site.fetch(`${both}&since=${positions[1]}`)).status).toBe(400)
      expect((await site.fetch(`${both}&since=x&since=`)).status).toBe(400)
      expect((await site.fetch('/weir/values?topic=/trades/SOL&since=')).status).toBe(400)
    })

    test('resumes on a stream of it alone', async () => {
      await using opened = await open()
      const positions = await opened.sell(1, 3)
      await using stream = await follow(opened.site, '/weir/stream?topic=/trades/SOL', {
        'last-event-id': positions[1] ?? '',
      })
      expect(await heard(stream, 1)).toEqual([3])
    })
  })

  test('that is not everybody’s is each one’s own, and its events name nobody', async () => {
    const mine = log('/mine/:id', { name: 'mine', key: { id: z.string() }, event: z.string(), scope: 'user' })
    const identify = ({ header }: Caller) => ({ user: header('authorization') ?? '' })
    await using site = await serve({ apps: [defineApp({ name: 'test', use: [mine], identify })] })
    await using stream = await follow(site, '/mine/1?as=sse', { authorization: 'ann' })
    await mine.publish({ id: '1' }, 'for bob', { user: 'bob' })
    await mine.publish({ id: '1' }, 'for ann', { user: 'ann' })
    expect(await stream.until('event')).toMatchObject({ data: { topic: '/mine/1', event: 'for ann' } })
    const asBob = { headers: { authorization: 'bob' } }
    expect(await (await site.fetch('/mine/1', asBob)).json()).toMatchObject({ events: [{ event: 'for bob' }] })
    const values = await site.fetch('/weir/values?topic=/mine/1', asBob)
    expect(await values.json()).toMatchObject({ values: [{ topic: '/mine/1', event: 'for bob' }] })
    for (const form of ['json', 'sse', 'poll']) expect((await site.fetch(`/mine/1?as=${form}`)).status).toBe(401)
    await expect(mine.publish({ id: '1' }, 'for whom')).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  describe('is published', () => {
    test('from a route of the app, whose refusals say what is wrong', async () => {
      await using opened = await open()
      const { site } = opened
      await using stream = await follow(site)
      const sold = await site.fetch('/sell/SOL', { method: 'POST', body: JSON.stringify({ n: 5, note: 'x' }) })
      const position = await sold.text()
      expect(await stream.until('event')).toMatchObject({ id: position, data: { event: { n: 5, note: 'x' } } })
      expect(await site.gateway.metrics.text([])).toContain('weir_log_events_total{log="trades"} 1')
    })

    test('from a stream, each event as it comes; one that is refused leaves what came before', async () => {
      await using opened = await open()
      const { trades, site } = opened
      async function* source() {
        yield { n: 1 }
        yield { n: 2 }
        yield { n: 'three' } as unknown as { n: number }
        yield { n: 4 }
      }
      await expect(trades.publishAll({ mint: 'SOL' }, source())).rejects.toMatchObject({
        code: 'bad_event',
        message: expect.stringMatching(/^n: .*expected number.*, got \{"n":"three"\}$/),
      })
      expect(numbers(await page(site, '/trades/SOL'))).toEqual([1, 2])
    })

    test('in the order in which it was said, without waiting for each', async () => {
      await using opened = await open()
      const positions = await Promise.all(range(1, 50).map((n) => opened.trades.publish({ mint: 'SOL' }, { n })))
      expect(positions.map((position) => Number(offset(position)))).toEqual(range(1, 50))
      expect(numbers(await page(opened.site, '/trades/SOL'))).toEqual(range(1, 50))
    })

    test('and read, in code', async () => {
      await using opened = await open({ events: 3 })
      const { trades, sell } = opened
      const positions = await sell(1, 5)
      const { events, gap } = await trades.read({ mint: 'SOL' }, { after: positions[0] ?? '', most: 2 })
      expect(events.map(({ event: { n, note } }) => [n, note])).toEqual([
        [3, ''],
        [4, ''],
      ])
      expect(gap).toEqual({ from: positions[0], to: positions[1] })
      await expect(trades.read({ mint: 'SOL' }, { most: 0 })).rejects.toMatchObject({ code: 'bad_request' })
      await expect(trades.read({ mint: 'sol' })).rejects.toMatchObject({ code: 'bad_key' })
    })
  })
})
