import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type App, ConfigError, createGateway, defineApp, type LogOptions, log, type WeirEvent } from '../src/index.ts'
import { RUNTIMES, type Served } from './served.ts'
import { connect } from './web-socket.ts'

type Schemas = { room: z.ZodString }
const event = z.object({ text: z.string().max(20), nonce: z.bigint().optional() })
type Options = Partial<LogOptions<Schemas, typeof event>>

/** A log that clients write to; who calls is what the header `user` says. */
function chat(options: Options) {
  const said = log('/rooms/:room', { name: 'said', key: { room: z.string() }, event, ...options })
  const quiet = log('/quiet/:room', { name: 'quiet', key: { room: z.string() }, event })
  const identify = ({ header }: { header(name: string): string | undefined }) => {
    const user = header('user')
    return user === undefined ? undefined : { user }
  }
  return { said, app: defineApp({ name: 'chat', use: [said, quiet], identify }) }
}

async function listening(app: App) {
  const gateway = createGateway({ apps: [app] })
  const [url = ''] = await gateway.listen({ port: 0 })
  return { url, [Symbol.asyncDispose]: () => gateway.close(1000) }
}

async function post(site: Served, path: string, body: string, headers: Record<string, string> = {}) {
  const answer = await site.fetch(path, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })
  const text = await answer.text()
  return { status: answer.status, allow: answer.headers.get('allow'), ...JSON.parse(text) }
}

describe.each(RUNTIMES)('a log that takes events of clients, on runtime $name', ({ serve }) => {
  test('keeps what is posted, and answers its position', async () => {
    const { app, said } = chat({ mayPublish: true })
    await using site = await serve({ apps: [app] })
    const { status, position } = await post(site, '/rooms/a', '{"text":"hello","nonce":12345678901234567890}')
    expect(status).toBe(201)
    const { events } = await said.read({ room: 'a' })
    expect(events).toMatchObject([{ position, event: { text: 'hello', nonce: 12345678901234567890n } }])
  })

  test('asks who it is, and where to', async () => {
    const asked: unknown[] = []
    const { app, said } = chat({
      mayPublish: async ({ key, identity }) => {
        asked.push({ key, identity })
        return identity?.user === 'ann' && key.room === 'a'
      },
    })
    await using site = await serve({ apps: [app] })
    const hello = '{"text":"hello"}'
    expect(await post(site, '/rooms/a', hello)).toMatchObject({ status: 403, code: 'not_published' })
    expect(await post(site, '/rooms/b', hello, { user: 'ann' })).toMatchObject({ status: 403 })
    expect(await post(site, '/rooms/a', hello, { user: 'ann' })).toMatchObject({ status: 201 })
    expect(asked.at(-1)).toEqual({ key: { room: 'a' }, identity: { user: 'ann' } })
    expect((await said.read({ room: 'a' })).events).toHaveLength(1)
    expect((await said.read({ room: 'b' })).events).toHaveLength(0)
  })

  test('of a user keeps what that user publishes in that user’s log', async () => {
    const { app, said } = chat({ mayPublish: true, scope: 'user' })
    await using site = await serve({ apps: [app] })
    expect(await post(site, '/rooms/a', '{"text":"mine"}')).toMatchObject({ status: 401, code: 'unauthenticated' })
    await post(site, '/rooms/a', '{"text":"mine"}', { user: 'ann' })
    expect((await said.read({ room: 'a' }, {}, { user: 'ann' })).events).toHaveLength(1)
    expect((await said.read({ room: 'a' }, {}, { user: 'bob' })).events).toHaveLength(0)
  })

  test.each([
    ['what its schema refuses', '{"text":1}', {}, 'bad_event', 400],
    ['no JSON', '{"text":', {}, 'bad_event', 400],
    ['nothing', '', {}, 'bad_event', 400],
    ['too much', JSON.stringify({ text: 'x'.repeat(70_000) }), {}, 'body_too_large', 413],
    ['what a form can send', '{"text":"a"}', { 'content-type': 'text/plain' }, 'bad_request', 400],
    ['a type that only looks right', '{"text":"a"}', { 'content-type': 'application/json5' }, 'bad_request', 400],
  ])('refuses %s', async (_what, body, headers, code, status) => {
    const { app, said } = chat({ mayPublish: true })
    await using site = await serve({ apps: [app] })
    expect(await post(site, '/rooms/a', body, headers)).toMatchObject({ status, code })
    expect((await said.read({ room: 'a' })).events).toEqual([])
  })

  test('is the exception', async () => {
    const { app } = chat({})
    await using site = await serve({ apps: [app] })
    const refused = { status: 405, code: 'method_not_allowed', allow: 'GET, HEAD' }
    expect(await post(site, '/rooms/a', '{"text":"a"}')).toMatchObject(refused)
    expect(await post(site, '/quiet/a', '{"text":"a"}')).toMatchObject(refused)
  })
})

describe('on a WebSocket', () => {
  test('each event is answered by its position, and heard by all', async () => {
    const { app } = chat({ mayPublish: ({ identity }) => identity?.user === 'ann' })
    await using site = await listening(app)
    await using ann = await connect(site.url, '/weir/ws', { headers: { user: 'ann' } })
    await using bob = await connect(site.url, '/weir/ws', { headers: { user: 'bob' } })
    bob.say({ type: 'subscribe', topic: '/rooms/a', id: 1 })
    await bob.hears('subscribed')
    ann.say({ type: 'publish', id: 7, topic: '/rooms/a', event: { text: 'hello' } })
    const { position } = await ann.hears('published', ({ id }) => id === 7)
    expect(await bob.hears('event')).toMatchObject({ topic: '/rooms/a', position, event: { text: 'hello' } })
    bob.say({ type: 'publish', id: 8, topic: '/rooms/a', event: { text: 'hello' } })
    expect(await bob.hears('error')).toMatchObject({ id: 8, problem: { code: 'not_published' } })
    ann.say({ type: 'publish', id: 9, topic: '/rooms/a', event: { text: 'x'.repeat(21) } })
    expect(await ann.hears('error')).toMatchObject({ id: 9, problem: { code: 'bad_event' } })
    ann.say({ type: 'publish', id: 10, topic: '/quiet/a', event: { text: 'hello' } })
    expect(await ann.hears('error', (message) => 'id' in message && message.id === 10)).toMatchObject({
      problem: { code: 'not_published' },
    })
  })

  test('a reader hears what is kept and what comes, goes on where it was, and is told a gap', async () => {
    const { app, said } = chat({ mayPublish: true, history: { events: 3 } })
    await using site = await listening(app)
    const say = async (...texts: string[]) => {
      const positions: string[] = []
      for (const text of texts) positions.push(await said.publish({ room: 'a' }, { text }))
      return positions
    }
    const texts = (peer: Awaited<ReturnType<typeof connect>>) =>
      peer.heard.flatMap((message) => (message.type === 'event' ? [(message.event as { text: string }).text] : []))

    const [first = '', second] = await say('one', 'two')
    await using peer = await connect(site.url)
    peer.say({ type: 'subscribe', topic: '/rooms/a' })
    await peer.hears('event', ({ position }) => position === second)
    const [third] = await say('three')
    await peer.hears('event', ({ position }) => position === third)
    expect(texts(peer)).toEqual(['one', 'two', 'three'])

    await using back = await connect(site.url)
    back.say({ type: 'subscribe', topic: '/rooms/a', since: second })
    await back.hears('event', ({ position }) => position === third)
    expect(texts(back)).toEqual(['three'])

    const newest = (await say('four', 'five')).at(-1)
    await using late = await connect(site.url)
    late.say({ type: 'subscribe', topic: '/rooms/a', since: first })
    await late.hears('event', ({ position }) => position === newest)
    expect(await late.hears('gap')).toMatchObject({ topic: '/rooms/a', from: first, to: second })
    expect(texts(late)).toEqual(['three', 'four', 'five'])
    late.say({ type: 'get', id: 1, topic: '/rooms/a' })
    expect(await late.hears('event', ({ id }) => id === 1)).toMatchObject({ position: newest })
    late.say({ type: 'get', id: 2, topic: '/rooms/empty' })
    expect(await late.hears('error')).toMatchObject({ problem: { code: 'absent' } })
  })

  test('who left a log, also while it was still being read, hears no more of it', async () => {
    const { app, said } = chat({ mayPublish: true })
    await using site = await listening(app)
    await using peer = await connect(site.url)
    for (const room of ['a', 'b']) {
      peer.say({ type: 'subscribe', topic: `/rooms/${room}` })
      peer.say({ type: 'unsubscribe', topic: `/rooms/${room}` })
      await said.publish({ room }, { text: `of ${room}` })
    }
    peer.say({ type: 'subscribe', topic: '/rooms/c', id: 1 })
    await peer.hears('subscribed')
    await said.publish({ room: 'a' }, { text: 'unheard' })
    await said.publish({ room: 'c' }, { text: 'heard' })
    await peer.hears('event', ({ topic }) => topic === '/rooms/c')
    expect(peer.heard.filter(({ type }) => type === 'event')).toHaveLength(1)
  })
})

test('a client that leaves before its event is whole is no failure', async () => {
  const events: WeirEvent[] = []
  const { app, said } = chat({ mayPublish: true })
  const gateway = createGateway({ apps: [app], observe: (event) => void events.push(event) })
  const [url = ''] = await gateway.listen({ port: 0 })
  try {
    const socket = connectTcp(Number(new URL(url).port), '127.0.0.1')
    socket.write(
      'POST /rooms/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n',
    )
    // Its body is awaited.
    await once(socket, 'data')
    socket.write('{"text":')
    socket.destroy()
    await expect.poll(() => events.filter(({ type }) => type === 'route.answered')).toMatchObject([{ status: 499 }])
    expect(events.filter(({ type }) => type === 'failed')).toEqual([])
    expect((await said.read({ room: 'a' })).events).toEqual([])
  } finally {
    await gateway.close(1000)
  }
})

test('is declared with true, false or a function', () => {
  const declare = () => chat({ mayPublish: 'ann' as never })
  expect(declare).toThrow(ConfigError)
  expect(declare).toThrow(/mayPublish: expected true, false or a function, got "ann"/)
})
