import { compareVersions, parseVersion } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import {
  ConfigError,
  createGateway,
  defineApp,
  feed,
  http,
  type PushNews,
  type PushOptions,
  push,
  type WeirEvent,
} from '../src/index.ts'
import { type PushingUpstream, pushingUpstream } from './pushing-upstream.ts'

type Key = { readonly name: string }

/** As the upstream speaks. */
function read(message: unknown): PushNews<Key, number> | undefined {
  const { id, result, error, subscription, value } = message as Readonly<Record<string, unknown>>
  if (typeof error === 'string') return { refused: Number(id), reason: error }
  if (typeof id === 'number') return { accepted: id, token: Number(result) }
  if (typeof subscription !== 'number') return undefined
  return value === undefined ? { token: subscription } : { token: subscription, value: value as number }
}

interface Given extends Partial<PushOptions<Key, number>> {
  readonly asOf?: (value: number) => number
  readonly order?: (value: number) => number
}

/** A gateway with one feed of numbers that are pushed. It is asked for seldom, so that what moves was pushed. */
async function opened(upstream: PushingUpstream, { asOf, order, ...given }: Given = {}) {
  const number = feed('/numbers/:name', {
    name: 'number',
    key: { name: z.string() },
    value: z.number().max(1000),
    from: http({ name: 'numbers', url: upstream.http, pastUsage: 'none', retries: 0 }),
    load: { one: ({ name }, call) => call.get(`/${name}`) as Promise<number> },
    fresh: '10ms',
    ...(asOf === undefined ? {} : { asOf }),
    ...(order === undefined ? {} : { order }),
    live: push({
      url: upstream.ws,
      subscribe: ({ name }, id) => ({ method: 'subscribe', id, name }),
      unsubscribe: (_key, _id, token) => ({ method: 'unsubscribe', token }),
      read,
      acknowledges: true,
      every: '1h',
      revalidateEvery: '1h',
      linger: '0ms',
      silenceTimeout: '10s',
      ...given,
    }),
  })
  const events: WeirEvent[] = []
  const app = defineApp({ name: 'numbers', use: [number] })
  const gateway = createGateway({ apps: [app], observe: (event) => void events.push(event), heartbeat: '50ms' })
  const [url] = await gateway.listen({ port: 0 })
  return {
    gateway,
    number,
    events,
    follow: async (name: string) => new EventStream(await fetch(`${url}/numbers/${name}?as=sse`)),
    [Symbol.asyncDispose]: () => gateway.close(1000),
  }
}

const sees = (stream: EventStream, value: number) => stream.until('snapshot', ({ data }) => data.value === value)
const subscribed = (upstream: PushingUpstream, ...names: string[]) =>
  expect.poll(() => [...upstream.subscribed].sort()).toEqual(names)

describe('a feed whose upstream pushes', () => {
  test('tells every change to all who watch, without asking', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream)
    await using a = await site.follow('a')
    await using b = await site.follow('a')
    await subscribed(upstream, 'a')
    for (let value = 1; value <= 20; value++) {
      upstream.set('a', value)
      const [one, other] = [await sees(a, value), await sees(b, value)]
      expect(one.id).toBe(other.id)
    }
    // Once when it was first watched, and once when the subscription had begun.
    expect(upstream.asked.get('a')).toBeLessThanOrEqual(2)
    expect(await site.number.get({ name: 'a' })).toMatchObject({ value: 20 })
  })

  test('has one subscription for a key, as long as anybody watches it', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { every: '20ms' })
    const streams = [await site.follow('a'), await site.follow('a'), await site.follow('b')]
    await subscribed(upstream, 'a', 'b')
    await streams[0]?.[Symbol.asyncDispose]()
    await streams[2]?.[Symbol.asyncDispose]()
    await subscribed(upstream, 'a')
    expect(upstream.connections).toBe(1)
    await streams[1]?.[Symbol.asyncDispose]()
    await subscribed(upstream)
    await using again = await site.follow('a')
    await subscribed(upstream, 'a')
    upstream.set('a', 7)
    await sees(again, 7)
    expect(upstream.connections).toBe(2)
  })

  test('one that is left before it is accepted is ended then', async () => {
    await using upstream = await pushingUpstream()
    upstream.manner = 'ignore'
    await using site = await opened(upstream, { every: '20ms' })
    await using _other = await site.follow('other')
    const stream = await site.follow('a')
    await expect.poll(() => upstream.said.filter(({ name }) => name === 'a').length).toBe(1)
    await stream[Symbol.asyncDispose]()
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(1)
    // The watcher is gone, and after its linger so is the key.
    const [{ id } = {}] = upstream.said.filter(({ name }) => name === 'a')
    await expect.poll(() => upstream.said.length).toBe(2)
    await expect
      .poll(() => {
        upstream.say(JSON.stringify({ id, result: 99 }))
        return upstream.said.filter(({ method, token }) => method === 'unsubscribe' && token === 99).length
      })
      .toBeGreaterThan(0)
  })

  test('a break: all are subscribed to and asked for again, and no version goes back', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream)
    await using a = await site.follow('a')
    await using b = await site.follow('b')
    await subscribed(upstream, 'a', 'b')
    upstream.set('a', 1)
    const before = await sees(a, 1)
    upstream.drop()
    upstream.set('a', 2, 'nothing')
    upstream.set('b', 3, 'nothing')
    const after = await sees(a, 2)
    await sees(b, 3)
    const [older, newer] = [parseVersion(before.id ?? ''), parseVersion(after.id ?? '')]
    expect(older && newer && compareVersions(newer, older)).toBeGreaterThan(0)
    await subscribed(upstream, 'a', 'b')
    upstream.set('a', 4)
    await sees(a, 4)
    expect(site.events.filter(({ type }) => type === 'push.lost')).toHaveLength(1)
  })

  test.each([
    ['can not be reached', (upstream: PushingUpstream) => Object.assign(upstream, { open: false })],
    ['refuses the key', (upstream: PushingUpstream) => Object.assign(upstream, { manner: 'refuse' as const })],
    ['never accepts it', (upstream: PushingUpstream) => Object.assign(upstream, { manner: 'ignore' as const })],
  ])('is polled while its WebSocket %s', async (_what, change) => {
    await using upstream = await pushingUpstream()
    change(upstream)
    await using site = await opened(upstream, { every: '20ms', silenceTimeout: '100ms' })
    await using a = await site.follow('a')
    for (let value = 1; value <= 3; value++) {
      upstream.set('a', value, 'nothing')
      await sees(a, value)
    }
    Object.assign(upstream, { open: true, manner: 'accept' })
    upstream.drop()
    await subscribed(upstream, 'a')
  })

  test('a connection that has fallen silent is given up for another', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { silenceTimeout: '100ms', revalidateEvery: '200ms' })
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    upstream.mute = true
    upstream.set('a', 1)
    await expect.poll(() => upstream.connections).toBeGreaterThan(1)
    upstream.mute = false
    await sees(a, 1)
  })

  test('a value that does not change is not stale, as long as the upstream is heard', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { every: '30ms', silenceTimeout: '60ms' })
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    await sees(a, 0)
    const [first, asked] = [await a.until('heartbeat'), upstream.asked.get('a')]
    let last = first
    for (let beats = 0; beats < 5; beats++) last = await a.until('heartbeat')
    expect(last.data.stale).toBe(false)
    expect(Number(last.data.checkedAt)).toBeGreaterThan(Number(first.data.checkedAt))
    expect(upstream.asked.get('a')).toBeLessThanOrEqual((asked ?? 0) + 1)
  })

  test('of what only says that it changed asks what it is', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { every: '20ms' })
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    for (let value = 1; value <= 5; value++) {
      upstream.set('a', value, 'change')
      await sees(a, value)
    }
  })

  test('is asked for now and then, in case something was lost', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { every: '20ms', revalidateEvery: '50ms' })
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    upstream.set('a', 1, 'nothing')
    await sees(a, 1)
  })

  test.each(['asOf', 'order'])('does not go back to a value that says it is older, by `%s`', async (name) => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { [name]: (value: number) => value })
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    for (const value of [5, 3, 4, 6]) upstream.set('a', value)
    const seen: unknown[] = []
    while (seen.at(-1) !== 6) seen.push((await a.until('snapshot')).data.value)
    expect(seen.filter((value) => value === 3 || value === 4)).toEqual([])
  })

  test('what can not be read, or is refused by the schema, is told and harms nothing', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream)
    await using a = await site.follow('a')
    await subscribed(upstream, 'a')
    const failed = () => site.events.filter(({ type }) => type === 'failed').length
    const bad = ['not JSON', 'null', '{"subscription":0,"value":"text"}', '{"subscription":0,"value":1001}']
    for (const [index, text] of bad.entries()) {
      upstream.say(text)
      await expect.poll(failed).toBe(index + 1)
    }
    upstream.say('{"subscription":77,"value":1}')
    upstream.set('a', 9)
    await sees(a, 9)
    expect(failed()).toBe(4)
    expect(upstream.connections).toBe(1)
  })

  test('that no longer pushes one value on a connection that lives is subscribed to again when asking finds that out', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { revalidateEvery: '100ms', every: '50ms' })
    await using a = await site.follow('a')
    await using b = await site.follow('b')
    await subscribed(upstream, 'a', 'b')
    const asks = (name: string) =>
      upstream.said.filter((said) => said.method === 'subscribe' && said.name === name).length
    // So that it is not what is asked for because the subscription began.
    await expect.poll(() => upstream.asked.get('a')).toBeGreaterThan(3)
    upstream.set('a', 5, 'nothing')
    await sees(a, 5)
    await expect.poll(() => asks('a'), { timeout: 10_000 }).toBe(2)
    await subscribed(upstream, 'a', 'b')
    upstream.set('a', 6)
    await sees(a, 6)
    upstream.set('b', 7)
    await sees(b, 7)
    expect([asks('b'), upstream.connections]).toEqual([1, 1])
  }, 20_000)

  test('sends no more messages a second than it may, and has no more subscriptions than it may', async () => {
    await using upstream = await pushingUpstream()
    await using site = await opened(upstream, { messageRate: 20, maxSubscriptions: 5, every: '20ms' })
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const began = performance.now()
    const streams = await Promise.all(names.map((name) => site.follow(name)))
    await subscribed(upstream, 'a', 'b', 'c', 'd', 'e')
    // The first goes at once or nearly so; each of the four others waits for a twentieth of a second.
    expect(performance.now() - began).toBeGreaterThan(100)
    upstream.set('f', 1, 'nothing')
    await sees(streams[5] as EventStream, 1)
    for (const stream of streams) await stream[Symbol.asyncDispose]()
  })

  test('greets first, on each connection, at the address of that moment', async () => {
    await using upstream = await pushingUpstream()
    let addresses = 0
    await using site = await opened(upstream, {
      url: async () => `${upstream.ws}/?key=${++addresses}`,
      greet: () => [{ method: 'auth' }],
    })
    await using _a = await site.follow('a')
    await subscribed(upstream, 'a')
    upstream.drop()
    await expect.poll(() => upstream.connections).toBe(2)
    await subscribed(upstream, 'a')
    expect(upstream.said.map(({ method }) => method)).toEqual(['auth', 'subscribe', 'auth', 'subscribe'])
    expect(addresses).toBe(2)
  })

  test('is let go with the gateway', async () => {
    await using upstream = await pushingUpstream()
    const site = await opened(upstream)
    await using _a = await site.follow('a')
    await subscribed(upstream, 'a')
    await site[Symbol.asyncDispose]()
    await subscribed(upstream)
  })
})

describe('push()', () => {
  const good = { url: 'ws://127.0.0.1:1', subscribe: () => ({}), read: () => undefined }

  test.each([
    [{ ...good, url: 'http://127.0.0.1' }, /url: expected a ws: or wss: address/],
    [{ ...good, subscribe: 'AAPL' }, /subscribe: expected a function, got "AAPL"/],
    [{ ...good, read: undefined }, /read: expected/],
    [{ ...good, greet: [] }, /greet: expected a function/],
    [{ ...good, most: 0 }, /most: expected/],
    [{ ...good, evry: '1s' }, /evry/],
  ])('%# names what is wrong with its options', (options, said) => {
    expect(() => push(options as never)).toThrow(ConfigError)
    expect(() => push(options as never)).toThrow(said)
  })

  test('is for what is everybody’s', () => {
    const declare = () =>
      feed('/mine', {
        name: 'mine',
        key: {},
        value: z.number(),
        from: http({ name: 'numbers', url: 'http://127.0.0.1:1', pastUsage: 'none' }),
        load: { one: async () => 1 },
        scope: 'user',
        live: push(good),
      })
    expect(declare).toThrow(/scope: expected "public"/)
  })
})
