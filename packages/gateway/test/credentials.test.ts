import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { createGateway, defineApp, feed, http, type Identity, log, socket } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { ManualClock } from './manual-clock.ts'

const MINUTE = 60_000

/** An app whose callers have credentials that hold for a minute: `authorization: USER`, or `USER MOMENT`. */
async function open(expiresIn = MINUTE) {
  const clock = new ManualClock()
  const upstream = await countingUpstream()
  upstream.answer = (_, response) => json(response, { n: 1 })
  const mine = feed('/mine', {
    name: 'mine',
    key: {},
    value: z.unknown(),
    from: http({ name: 'source', url: upstream.url, pastUsage: 'none', timeout: '2s' }),
    scope: 'user',
    fresh: '1h',
    load: { one: async (_, call) => call.caller.user },
  })
  const notes = log('/notes', {
    name: 'notes',
    key: {},
    event: z.string(),
    scope: 'user',
    history: { events: 10, age: '1h' },
  })
  const echo = socket('/echo', { name: 'echo', receive: () => {} })
  const app = defineApp({
    name: 'test',
    use: [mine, notes, echo],
    graphql: true,
    identify: ({ header }): Identity | undefined => {
      const user = header('authorization')
      return user === undefined ? undefined : { user, expires: new Date(clock.now() + expiresIn) }
    },
  })
  const gateway = createGateway({ apps: [app], clock, heartbeat: '20s' })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    clock,
    url,
    gateway,
    notes,
    /** Waits for what is said while the clock stands still. */
    settled: <Value>(read: () => Value) =>
      expect.poll(async () => {
        await clock.settle()
        return read()
      }),
    /** Waits until the server has so many live connections. */
    connected: (count: number) => expect.poll(() => gateway.metrics.summary.connections).toBe(count),
    async [Symbol.asyncDispose]() {
      await gateway.close(0)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

const ANN = { headers: { authorization: 'ann' } }

/** Reads a body to its end. */
async function textOf(answer: Response): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true })
  return text
}

describe('a live connection ends with the credential of its caller, and says so', () => {
  test.each(['/mine?as=sse', '/weir/stream?topic=/mine&topic=/notes', '/notes?as=sse'])('on %s', async (path) => {
    await using site = await open()
    const answer = await fetch(site.url + path, ANN)
    const text = textOf(answer)
    await site.connected(1)
    await site.clock.advance(MINUTE - 1)
    await site.connected(1)
    await site.clock.advance(1)
    expect(await text).toMatch(
      /event: goodbye\ndata: \{"retry":0,"problem":\{.*"code":"credential_expired".*renew it.*\}\}\n\n$/,
    )
    await site.connected(0)
  })

  test('on a WebSocket', async () => {
    await using site = await open()
    const peer = new WebSocket(`${site.url.replace('http', 'ws')}/weir/ws`, ANN)
    const said: string[] = []
    peer.on('message', (data) => said.push(String(data)))
    await once(peer, 'open')
    peer.send(JSON.stringify({ type: 'subscribe', topic: '/mine' }))
    await site.settled(() => said.join()).toContain('"value":"ann"')
    const closed = once(peer, 'close')
    // It answers pings meanwhile.
    for (let beat = 0; beat < 60; beat += 1) await site.clock.advance(1000)
    const [code, reason] = await closed
    expect([code, String(reason)]).toEqual([4401, 'credential_expired'])
    expect(JSON.parse(said.at(-1) ?? '')).toMatchObject({
      type: 'goodbye',
      problem: { code: 'credential_expired', status: 401 },
    })
  })

  test('on an app\u2019s own WebSocket', async () => {
    await using site = await open(1000)
    const peer = new WebSocket(`${site.url.replace('http', 'ws')}/echo`, ANN)
    await once(peer, 'open')
    const closed = once(peer, 'close')
    await site.clock.advance(1000)
    expect((await closed)[0]).toBe(4401)
  })

  test.each(['/mine?as=poll&wait=25s', '/notes?as=poll&wait=25s'])('on a long poll: %s', async (path) => {
    await using site = await open(10_000)
    const had = await fetch(`${site.url}${path.replace('poll&wait=25s', 'json')}`, ANN)
    const answer = fetch(`${site.url}${path}&after=${had.headers.get('weir-version')}`, ANN)
    await site.connected(1)
    await site.clock.advance(10_000)
    expect((await answer).status).toBe(401)
    expect(await (await answer).json()).toMatchObject({ code: 'credential_expired' })
    await site.connected(0)
  })

  test('in GraphQL, on a stream of events and on a WebSocket', async () => {
    await using site = await open()
    const query = encodeURIComponent('subscription { mine }')
    const headers = { ...ANN.headers, accept: 'text/event-stream' }
    const text = textOf(await fetch(`${site.url}/graphql?query=${query}`, { headers }))
    const peer = new WebSocket(`${site.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', ANN)
    await once(peer, 'open')
    peer.send('{"type":"connection_init"}')
    await once(peer, 'message')
    const closed = once(peer, 'close')
    await site.connected(2)
    for (let beat = 0; beat < 60; beat += 1) await site.clock.advance(1000)
    expect(await text).toMatch(/"extensions":\{"code":"credential_expired"\}\}\]\}\n\nevent: complete\ndata:\n\n$/)
    const [code, reason] = await closed
    expect([code, String(reason)]).toEqual([4403, expect.stringMatching(/^credential_expired: /)])
  })
})

test('a client that leaves takes its timer along', async () => {
  await using site = await open()
  const controller = new AbortController()
  await fetch(`${site.url}/mine?as=sse`, { ...ANN, signal: controller.signal })
  await site.connected(1)
  controller.abort()
  await site.connected(0)
  await site.clock.advance(MINUTE)
  await site.connected(0)
})

test('an identity that has expired counts as none', async () => {
  await using site = await open(0)
  const answer = await fetch(`${site.url}/mine`, ANN)
  expect(answer.status).toBe(401)
  expect(await answer.json()).toMatchObject({ code: 'unauthenticated' })
})

test('a moment in seconds is a mistake of the app, and no caller is served by it', async () => {
  await using site = await open()
  // 1970, as `exp` of a token would be if it were taken for milliseconds.
  await using seconds = await open(1.8e9 - site.clock.now())
  expect((await fetch(`${seconds.url}/mine`, ANN)).status).toBe(500)
})

test('private values say so on every form, and connections name their caller', async () => {
  await using site = await open()
  await site.notes.publish({}, 'for ann', { user: 'ann' })
  const caller = async (init: RequestInit) =>
    (await (await fetch(`${site.url}/weir/values?topic=/mine`, init)).json()).caller
  const ann = await caller(ANN)
  expect(ann).toMatch(/^[\w-]{22}$/)
  expect(await caller({ headers: { authorization: 'bob' } })).not.toBe(ann)
  expect(await caller({})).toBeUndefined()
  const values = await (await fetch(`${site.url}/weir/values?topic=/mine&topic=/notes`, ANN)).json()
  expect(values.values).toMatchObject([
    { private: true, value: 'ann' },
    { private: true, event: 'for ann' },
  ])
  const text = textOf(await fetch(`${site.url}/weir/stream?topic=/mine&topic=/notes`, ANN))
  await site.connected(1)
  const peer = new WebSocket(`${site.url.replace('http', 'ws')}/weir/ws`, ANN)
  const said: Record<string, unknown>[] = []
  peer.on('message', (data) => said.push(JSON.parse(String(data))))
  await once(peer, 'open')
  for (const topic of ['/mine', '/notes']) peer.send(JSON.stringify({ type: 'subscribe', topic }))
  await site
    .settled(() => said)
    .toContainEqual(expect.objectContaining({ type: 'event', private: true, event: 'for ann' }))
  expect(said).toContainEqual(expect.objectContaining({ type: 'snapshot', private: true, value: 'ann' }))
  expect(said[0]).toMatchObject({ type: 'hello', caller: ann })
  await site.clock.advance(MINUTE)
  expect(await text).toMatch(new RegExp(`event: hello\\ndata: .*"caller":"${ann}"`))
  expect(await text).toMatch(/event: snapshot\n.*\ndata: .*"private":true/)
  expect(await text).toMatch(/event: event\n.*\ndata: .*"private":true/)
})
