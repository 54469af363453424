import { request } from 'node:http'
import { applyPatch, compareVersions, parseVersion } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventStream } from '../../../scripts/event-stream.ts'
import {
  createGateway,
  defineApp,
  feed,
  follow,
  type GatewayOptions,
  http,
  type Identity,
  socket,
  WeirError,
} from '../src/index.ts'
import { type CountingUpstream, countingUpstream, json } from './counting-upstream.ts'
import { RUNTIMES, testApp } from './served.ts'
import { connect, type Peer } from './web-socket.ts'

async function serve(options: GatewayOptions) {
  const gateway = createGateway(options)
  const [url = ''] = await gateway.listen({ port: 0 })
  return { gateway, url, [Symbol.asyncDispose]: () => gateway.close(1000) }
}

/** A value that is large enough for a patch to pay, as it stands now. */
function wide(upstream: CountingUpstream) {
  const now = { value: { count: 0, padding: 'x'.repeat(200), book: { bids: [1, 2], asks: [3] } } as unknown }
  upstream.answer = (_path, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(typeof now.value === 'string' ? now.value : JSON.stringify(now.value))
  return now
}

/** How a WebSocket handshake is refused: its status, headers and problem. */
async function refused(url: string, path = '/weir/ws', headers: Record<string, string> = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; problem: Record<string, unknown> }>(
    (resolve, reject) => {
      const asked = request(`${url}${path}`, {
        headers: {
          connection: 'upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          ...headers,
        },
      })
      asked.once('upgrade', (_response, socket) => {
        socket.destroy()
        resolve({ status: 101, headers: {}, problem: {} })
      })
      asked.once('response', async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          problem: text === '' ? {} : JSON.parse(text),
        })
      })
      asked.once('error', reject)
      asked.end()
    },
  )
}

const problem = (code: string) => expect.objectContaining({ code })

describe('the handshake', () => {
  test.each([
    ['another version', { 'sec-websocket-version': '8' }, 426, 'upgrade_required'],
    ['no version', { 'sec-websocket-version': '' }, 426, 'upgrade_required'],
    ['a short key', { 'sec-websocket-key': 'dGhlIHNhbXBsZQ==' }, 400, 'bad_request'],
    ['another protocol', { upgrade: 'h2c' }, 426, 'upgrade_required'],
    ['a page of another site', { origin: 'https://evil.example' }, 403, 'bad_origin'],
    ['a page of no site', { origin: 'null' }, 403, 'bad_origin'],
    ['an origin that is none', { origin: 'what' }, 403, 'bad_origin'],
  ])('is refused with %s', async (_what, headers, status, code) => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    const answer = await refused(site.url, '/weir/ws', headers)
    expect([answer.status, answer.problem.code]).toEqual([status, code])
    expect(answer.headers['content-type']).toBe('application/problem+json')
    if (status === 426) expect(answer.headers).toMatchObject({ upgrade: 'websocket', 'sec-websocket-version': '13' })
  })

  test('at an address that speaks none is answered as any other call', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    expect((await refused(site.url, '/nothing')).status).toBe(404)
    expect((await refused(site.url, '/weir/nothing')).status).toBe(404)
    expect(await refused(site.url, '/items/a')).toMatchObject({ status: 200, problem: { path: '/items/a' } })
  })

  test('takes pages of this site, of those that the app names, and programs', async () => {
    await using upstream = await countingUpstream()
    const app = testApp(upstream)
    await using site = await serve({ apps: [{ ...app, cors: ['https://shop.example'] }] })
    const { host } = new URL(site.url)
    for (const headers of [{}, { origin: site.url }, { origin: `https://${host}` }, { origin: 'https://shop.example' }])
      expect((await refused(site.url, '/weir/ws', headers as Record<string, string>)).status).toBe(101)
    expect((await refused(site.url, '/weir/ws', { origin: 'https://shop.example.evil' })).status).toBe(403)
  })

  test('is refused in maintenance and when there are too many, by name', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], connections: 1 })
    const first = await connect(site.url)
    expect(await refused(site.url)).toMatchObject({ status: 503, problem: problem('too_many_connections') })
    await first[Symbol.asyncDispose]()
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
    site.gateway.level.set('maintenance', 'test')
    expect(await refused(site.url)).toMatchObject({ status: 503, problem: problem('maintenance') })
  })

  test.each(RUNTIMES)('is missed on runtime $name by a call that asks for no WebSocket', async (runtime) => {
    await using upstream = await countingUpstream()
    await using site = await runtime.serve({ apps: [testApp(upstream)] })
    const answer = await site.fetch('/weir/ws')
    expect([answer.status, await answer.json()]).toEqual([426, problem('upgrade_required')])
    expect(answer.headers.get('upgrade')).toBe('websocket')
    expect((await site.fetch('/weir/ws', { method: 'POST' })).status).toBe(405)
  })

  test('on a runtime that has no sockets is answered, with where else to go', async () => {
    await using upstream = await countingUpstream()
    const gateway = createGateway({ apps: [testApp(upstream)] })
    const headers = {
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    const answer = await gateway.sites[0]?.fetch(new Request('http://localhost/weir/ws', { headers }))
    expect(answer?.status).toBe(426)
    expect(await answer?.json()).toMatchObject({
      code: 'upgrade_required',
      detail: expect.stringContaining('/weir/stream'),
    })
    await gateway.close()
  })
})

describe('a server that goes', () => {
  test.each([
    ['for ever', () => new Promise<undefined>(() => {})],
    ['too long', () => new Promise<undefined>((resolve) => setTimeout(resolve, 100))],
  ])('does not wait for who is identified %s', async (_how, identify) => {
    await using upstream = await countingUpstream()
    let asked = 0
    const from = http({ name: 'source', url: upstream.url, pastUsage: 'none' })
    const mine = feed('/mine', {
      name: 'mine',
      key: {},
      value: z.unknown(),
      scope: 'user',
      from,
      load: { one: async () => 1 },
    })
    const app = defineApp({
      name: 'test',
      use: [mine],
      identify: () => {
        asked += 1
        return identify()
      },
    })
    await using site = await serve({ apps: [app] })
    const answer = refused(site.url).catch(() => ({ status: 0 }))
    await expect.poll(() => asked).toBe(1)
    await site.gateway.close(300)
    // Cut off, or told that it goes; never taken.
    expect([0, 503]).toContain((await answer).status)
    expect(site.gateway.metrics.summary.connections).toBe(0)
  })
})

describe('a client', () => {
  test('that subscribes again hears the latest value again, whole, once', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    for (let times = 1; times <= 3; times += 1) {
      peer.say({ type: 'subscribe', topic: '/items/a' })
      await expect.poll(() => peer.heard.filter(({ type }) => type === 'snapshot')).toHaveLength(times)
    }
  })

  test('is greeted, hears the value of a topic, and then every change', async () => {
    await using upstream = await countingUpstream()
    const now = { value: 1 }
    upstream.answer = (_path, response) => json(response, now.value)
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    expect(await peer.hears('hello')).toEqual({
      type: 'hello',
      now: expect.any(Number),
      lineage: expect.any(String),
      heartbeat: 10_000,
      level: 'normal',
      limits: { message: 16_384, rate: 50, burst: 1000, topics: 500 },
    })
    peer.say({ type: 'subscribe', topic: '/items/a' })
    const first = await peer.hears('snapshot')
    expect(first).toMatchObject({ topic: '/items/a', value: 1, version: expect.stringMatching(/^\d+:1$/) })
    now.value = 2
    expect(await peer.hears('snapshot', ({ value }) => value === 2)).toMatchObject({
      version: first.version.replace(/1$/, '2'),
    })
  })

  test('hears the one address of its topic when it gives an id, and errors of topics that are none', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    peer.say({ type: 'subscribe', topic: '/books/x', id: 'a' })
    expect(await peer.hears('subscribed')).toEqual({ type: 'subscribed', id: 'a', topic: '/books/x?depth=10' })
    expect(await peer.hears('snapshot')).toMatchObject({ topic: '/books/x?depth=10', value: { depth: 10 } })
    peer.say({ type: 'subscribe', topic: '/items/NO' })
    expect(await peer.hears('error')).toMatchObject({ topic: '/items/NO', problem: problem('bad_key') })
    peer.say({ type: 'subscribe', topic: '/items/a', since: 'yesterday', id: 7 })
    expect(await peer.hears('error', ({ ...error }) => 'id' in error)).toMatchObject({
      id: 7,
      problem: problem('bad_version'),
    })
  })

  test('hears nothing more of a topic that it left, and all of it when it comes again', async () => {
    await using upstream = await countingUpstream()
    let count = 0
    upstream.answer = (path, response) => json(response, path === '/items/a' ? count++ : 'other')
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    peer.say({ type: 'subscribe', topic: '/items/a' })
    await peer.hears('snapshot', ({ value }) => Number(value) >= 2)
    peer.say({ type: 'unsubscribe', topic: '/items/a' })
    peer.say({ type: 'ping', id: 'left' })
    await peer.hears('pong', ({ id }) => id === 'left')
    const before = peer.heard.length
    const asked = count
    // Another watcher keeps it moving.
    await using other = await connect(site.url)
    other.say({ type: 'subscribe', topic: '/items/a' })
    await other.hears('snapshot', ({ value }) => Number(value) >= asked + 3)
    expect(peer.heard.slice(before)).toEqual([])
    peer.say({ type: 'subscribe', topic: '/items/a' })
    peer.say({ type: 'subscribe', topic: '/items/a' })
    const again = await peer.hears('snapshot', () => true, before)
    expect(again.value).toBeGreaterThan(asked)
  })

  test('gets one value once, as an answer to its id', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (path, response) => json(response, path === '/items/none' ? null : { path })
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    for (const [id, topic] of ['/items/a', '/items/none', '/nothing'].entries()) peer.say({ type: 'get', id, topic })
    expect(await peer.hears('snapshot')).toMatchObject({ id: 0, topic: '/items/a', value: { path: '/items/a' } })
    expect(await peer.hears('absent')).toMatchObject({ id: 1, topic: '/items/none', reason: 'no such item' })
    expect(await peer.hears('error')).toMatchObject({ id: 2, problem: problem('not_found') })
  })

  test('gives up what it asked for when it leaves', async () => {
    await using upstream = await countingUpstream()
    let gone = false
    upstream.answer = (_path, response) => void response.once('close', () => (gone = true))
    const failed: unknown[] = []
    await using site = await serve({
      apps: [testApp(upstream)],
      observe: (event) => void (event.type === 'failed' && failed.push(event.error)),
    })
    const peer = await connect(site.url)
    peer.say({ type: 'get', id: 1, topic: '/items/a' })
    await expect.poll(() => upstream.calls).toBe(1)
    await peer[Symbol.asyncDispose]()
    await expect.poll(() => gone).toBe(true)
    expect(failed).toEqual([])
  })

  test('may not publish, and receives an error', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    peer.say({ type: 'publish', id: 'e', topic: '/items/a', event: {} })
    expect(await peer.hears('error')).toMatchObject({ id: 'e', problem: problem('not_published') })
  })

  test.each([
    ['no JSON', 'subscribe', {}],
    ['no object', '[]', {}],
    ['null', 'null', {}],
    ['no type', '{}', {}],
    ['a type that is none', '{"type":"constructor"}', {}],
    ['no topic', '{"type":"subscribe","id":3}', { id: 3 }],
    ['a topic that is no text', '{"type":"get","topic":{},"id":"x"}', { id: 'x' }],
    ['no id', '{"type":"get","topic":"/items/a"}', {}],
    ['an id that is too long', `{"type":"ping","id":"${'x'.repeat(65)}"}`, {}],
    ['an id that is a fraction', '{"type":"ping","id":1.5}', {}],
    ['patches that are neither', '{"type":"subscribe","topic":"/items/a","patches":1}', {}],
    ['a since that is no text', '{"type":"subscribe","topic":"/items/a","since":1}', {}],
  ])('is told what a message lacks that has %s, and goes on', async (_what, text, id) => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    peer.say(text)
    const error = await peer.hears('error')
    expect(error).toEqual({ type: 'error', ...id, problem: problem('bad_message') })
    expect(error.problem.detail).toMatch(/^expected .*, got /)
    peer.say({ type: 'ping' })
    await peer.hears('pong')
  })

  test('that can say nothing right is closed, for good', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    for (let count = 0; count < 9; count += 1) peer.say('nonsense')
    peer.say({ type: 'ping' })
    for (let count = 0; count < 10; count += 1) peer.say('nonsense')
    expect(await peer.ended).toEqual({ code: 4400, reason: 'unreadable' })
    expect(peer.heard.filter(({ type }) => type === 'pong')).toHaveLength(1)
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })

  test('has as many topics as it may, and no more', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], socketTopics: 2 })
    await using peer = await connect(site.url)
    for (const id of ['a', 'b', 'a', 'c']) peer.say({ type: 'subscribe', topic: `/items/${id}` })
    expect(await peer.hears('error')).toMatchObject({ topic: '/items/c', problem: problem('too_many_topics') })
    peer.say({ type: 'unsubscribe', topic: '/items/a' })
    peer.say({ type: 'subscribe', topic: '/items/c' })
    await peer.hears('snapshot', ({ topic }) => topic === '/items/c')
  })

  test('that floods is closed, and told when to come back by the code', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], socketRate: 1, socketBurst: 20 })
    for (const flood of [
      (peer: Peer) => peer.say({ type: 'ping' }),
      (peer: Peer) => peer.socket.ping(),
      (peer: Peer) => peer.socket.pong(),
    ]) {
      await using peer = await connect(site.url)
      for (let count = 0; count < 30; count += 1) flood(peer)
      expect(await peer.ended).toEqual({ code: 4429, reason: 'flooding' })
    }
  })

  test('hears the level when it changes, and goodbye before the server closes', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    await peer.hears('hello')
    site.gateway.level.set('saver', 'test')
    expect(await peer.hears('level')).toMatchObject({ level: 'saver' })
    await site.gateway.close(1000)
    expect(await peer.ended).toEqual({ code: 1001, reason: 'going_away' })
    expect(peer.heard.at(-1)).toEqual({ type: 'goodbye', retry: expect.any(Number) })
  })

  test('of values that are not everybody’s gets its own, by who it was at the handshake', async () => {
    await using upstream = await countingUpstream()
    const mine = feed('/mine', {
      name: 'mine',
      key: {},
      value: z.unknown(),
      scope: 'user',
      from: http({ name: 'source', url: upstream.url, pastUsage: 'none' }),
      load: { one: async (_key, call) => ({ for: call.caller?.user }) },
    })
    const identify = async ({
      header,
    }: {
      header(name: string): string | undefined
    }): Promise<Identity | undefined> => {
      const user = header('authorization')
      if (user === 'refused') throw new WeirError('unauthenticated', 'expected another')
      return user === undefined ? undefined : { user }
    }
    await using site = await serve({ apps: [defineApp({ name: 'test', use: [mine], identify })] })
    for (const user of ['ann', 'bob']) {
      await using peer = await connect(site.url, '/weir/ws', { headers: { authorization: user } })
      peer.say({ type: 'subscribe', topic: '/mine' })
      expect(await peer.hears('snapshot')).toMatchObject({ topic: '/mine', value: { for: user } })
    }
    await using nobody = await connect(site.url)
    nobody.say({ type: 'subscribe', topic: '/mine' })
    expect(await nobody.hears('error')).toMatchObject({ topic: '/mine', problem: problem('unauthenticated') })
    expect(await refused(site.url, '/weir/ws', { authorization: 'refused' })).toMatchObject({ status: 401 })
  })
})

describe('heartbeats', () => {
  test('count the messages of the connection, and keep a quiet one alive', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], heartbeat: '100ms' })
    await using peer = await connect(site.url)
    let pings = 0
    peer.socket.on('ping', () => (pings += 1))
    peer.say({ type: 'subscribe', topic: '/items/a' })
    await expect
      .poll(() => peer.heard.filter((message) => message.type === 'heartbeat' && 'seq' in message).length)
      .toBeGreaterThan(5)
    for (const [index, message] of peer.heard.entries())
      if (message.type === 'heartbeat' && 'seq' in message) expect(message.seq).toBe(index)
    expect(pings).toBeGreaterThan(3)
  })

  test('end a connection whose peer is silent', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], heartbeat: '50ms' })
    await using peer = await connect(site.url, '/weir/ws', { autoPong: false } as object)
    expect(await peer.ended).toEqual({ code: 4408, reason: 'silent' })
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })
})

describe('patches', () => {
  test('say only what changed, on the version that was sent last', async () => {
    await using upstream = await countingUpstream()
    const now = wide(upstream)
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    await using whole = await connect(site.url)
    peer.say({ type: 'subscribe', topic: '/items/a' })
    whole.say({ type: 'subscribe', topic: '/items/a', patches: false })
    const first = await peer.hears('snapshot')
    await whole.hears('snapshot')
    now.value = { ...(first.value as object), count: 1 }
    const patch = await peer.hears('patch')
    expect(patch).toEqual({
      type: 'patch',
      topic: '/items/a',
      from: first.version,
      version: first.version.replace(/1$/, '2'),
      changedAt: expect.any(Number),
      checkedAt: expect.any(Number),
      patch: { count: 1 },
    })
    const { value, version } = await whole.hears('snapshot', ({ value }) => (value as { count: number }).count === 1)
    expect(applyPatch(first.value, patch.patch)).toEqual(value)
    expect(version).toBe(patch.version)
  })

  test('are not sent of numbers that would lose digits: every one is there in the value', async () => {
    await using upstream = await countingUpstream()
    const now = wide(upstream)
    const text = (epoch: string) => `{"epoch":${epoch},"count":1,"padding":"${'x'.repeat(200)}"}`
    now.value = text('18446744073709551614')
    await using site = await serve({ apps: [testApp(upstream)] })
    await using peer = await connect(site.url)
    peer.say({ type: 'subscribe', topic: '/items/a' })
    await peer.hears('snapshot')
    now.value = text('18446744073709551615')
    const second = await peer.hears('snapshot', ({ version }) => version.endsWith(':2'))
    expect(peer.texts[peer.heard.indexOf(second)]).toContain('"epoch":18446744073709551615')
    expect(peer.heard.some(({ type }) => type === 'patch')).toBe(false)
  })
})

describe('compression', () => {
  const big = { rows: Array.from({ length: 200 }, (_, row) => ({ row, name: `number ${row}` })) }

  test.each([
    ['agreed on', {}, {}, 'permessage-deflate'],
    ['switched off', { socketDeflate: false }, {}, ''],
    ['not offered', {}, { perMessageDeflate: false }, ''],
    ['wanted with a smaller window', {}, { perMessageDeflate: { serverMaxWindowBits: 10 } }, ''],
  ])('%s: large and small messages arrive', async (_how, options, client, extensions) => {
    await using upstream = await countingUpstream()
    upstream.answer = (path, response) => json(response, path === '/items/big' ? big : { path })
    await using site = await serve({ apps: [testApp(upstream)], ...options })
    await using peer = await connect(site.url, '/weir/ws', client)
    expect(peer.socket.extensions).toBe(extensions)
    for (const id of ['big', 'small']) peer.say({ type: 'subscribe', topic: `/items/${id}` })
    peer.say({ type: 'get', id: 1, topic: '/items/big' })
    expect((await peer.hears('snapshot', ({ topic, id }) => topic === '/items/big' && id === undefined)).value).toEqual(
      big,
    )
    expect((await peer.hears('snapshot', ({ topic }) => topic === '/items/small')).value).toEqual({
      path: '/items/small',
    })
    expect((await peer.hears('snapshot', ({ id }) => id === 1)).value).toEqual(big)
    const received = (peer.socket as unknown as { _socket: { bytesRead: number } })._socket.bytesRead
    const plain = JSON.stringify(big).length
    if (extensions === '') expect(received).toBeGreaterThan(2 * plain)
    else expect(received).toBeLessThan(plain)
  })

  test('is taken from clients too, up to the size that a message may have', async () => {
    await using upstream = await countingUpstream()
    await using site = await serve({ apps: [testApp(upstream)], socketMessage: '4kb' })
    const options = { perMessageDeflate: { threshold: 0 } }
    await using peer = await connect(site.url, '/weir/ws', options)
    peer.say({ type: 'ping', id: 'x'.repeat(60), more: 'y'.repeat(3000) })
    await peer.hears('pong')
    // A few bytes that would become too many.
    peer.say({ type: 'ping', more: 'y'.repeat(1_000_000) })
    expect((await peer.ended).code).toBe(1009)
  })
})

test('versions only rise for a client that changes form and comes back', async () => {
  await using upstream = await countingUpstream()
  let count = 0
  upstream.answer = (_path, response) => json(response, { count: count++ })
  await using site = await serve({ apps: [testApp(upstream, { every: '10ms' })] })
  let last = '0:0'
  function accept(version: string | undefined, strictly = true): void {
    const [before, now] = [last, version ?? ''].map((text) => parseVersion(text))
    if (before === undefined || now === undefined) throw new Error(`expected versions, got ${last} and ${version}`)
    expect(compareVersions(now, before), `${version} after ${last}`).toBeGreaterThanOrEqual(strictly ? 1 : 0)
    last = version ?? last
  }
  for (let round = 0; round < 5; round += 1) {
    const headers: Record<string, string> = round === 0 ? {} : { 'last-event-id': last }
    await using stream = new EventStream(await fetch(`${site.url}/items/a?as=sse`, { headers }))
    for (let taken = 0; taken < 3; ) {
      const event = await stream.next()
      if (event?.event !== 'snapshot') continue
      accept(String(event.data.version))
      taken += 1
    }
    {
      await using peer = await connect(site.url)
      peer.say({ type: 'subscribe', topic: '/items/a', since: last })
      const fresh = last
      await expect
        .poll(() => peer.heard.filter(({ type }) => type === 'snapshot' || type === 'patch').length)
        .toBeGreaterThan(3)
      for (const message of peer.heard)
        if (message.type === 'snapshot' || message.type === 'patch') accept(message.version)
      expect(last).not.toBe(fresh)
    }
    const polled = await fetch(`${site.url}/items/a?as=poll&after=${last}`)
    expect(polled.status).toBe(200)
    await polled.body?.cancel()
    accept(polled.headers.get('weir-version') ?? undefined)
  }
})

test('a client that comes back with the version that still holds hears so, in place of the value', async () => {
  await using upstream = await countingUpstream()
  await using site = await serve({ apps: [testApp(upstream)] })
  await using first = await connect(site.url)
  first.say({ type: 'subscribe', topic: '/items/a' })
  const { version } = await first.hears('snapshot')
  await using peer = await connect(site.url)
  peer.say({ type: 'subscribe', topic: '/items/a', since: version })
  expect(await peer.hears('heartbeat', (message) => 'topic' in message)).toMatchObject({ topic: '/items/a', version })
  expect(peer.heard.some(({ type }) => type === 'snapshot')).toBe(false)
})

describe('an app’s own socket', () => {
  const State = z.object({ pot: z.number() })
  function lottery(upstream: CountingUpstream, more: Partial<Parameters<typeof socket>[1]> = {}) {
    const state = feed('/state', {
      name: 'state',
      key: {},
      value: State,
      from: http({ name: 'source', url: upstream.url, pastUsage: 'none' }),
      load: { one: (_key, call) => call.get('/state', { answer: State }) },
      fresh: '10ms',
      live: { every: '20ms', linger: '50ms' },
    })
    const update = (value: z.infer<typeof State>) => ({ type: 'stateUpdate', state: value })
    const ws = socket('/ws', {
      name: 'lottery',
      follow: [follow(state, {}, update)],
      receive: async (message, client) => {
        if (z.object({ type: z.literal('getState') }).safeParse(message).success)
          client.send(update((await state.get({})).value))
        if (message === 'who') client.send({ type: 'you', identity: client.identity ?? null })
        if (message === 'fail') throw new Error('by intent')
        if (message === 'bye') client.close()
      },
      ...more,
    })
    return defineApp({ name: 'lottery', use: [state, ws], identify: () => ({ user: 'ann' }) })
  }

  test('says the state when a client comes, at each change, and when it is asked', async () => {
    await using upstream = await countingUpstream()
    let pot = 1
    upstream.answer = (_path, response) => json(response, { pot })
    await using site = await serve({ apps: [lottery(upstream)] })
    await using peer = await connect(site.url, '/ws')
    const states = () => peer.texts.map((text) => JSON.parse(text))
    await expect.poll(states).toEqual([{ type: 'stateUpdate', state: { pot: 1 } }])
    pot = 2
    await expect.poll(states).toHaveLength(2)
    peer.say({ type: 'getState' })
    await expect.poll(states).toHaveLength(3)
    expect(states()[2]).toEqual({ type: 'stateUpdate', state: { pot: 2 } })
    site.gateway.level.set('saver', 'test')
    peer.say('"who"')
    await expect.poll(() => states()[3]).toEqual({ type: 'you', identity: { user: 'ann' } })
    peer.say('"bye"')
    expect((await peer.ended).code).toBe(1001)
  })

  test('outlives what its app throws, which is told', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => json(response, { pot: 1 })
    const failed: unknown[] = []
    const say = () => {
      throw new Error('unsayable')
    }
    const app = lottery(upstream)
    const [state] = app.use.filter((part) => part.kind === 'feed')
    if (state === undefined) throw new Error('expected a feed')
    const broken = socket('/broken', {
      name: 'broken',
      follow: [{ kind: 'follow', feed: state, readKey: state.plan.keys.fromParts({}), say }],
    })
    await using site = await serve({
      apps: [{ ...app, use: [...app.use, broken] }],
      observe: (event) => void (event.type === 'failed' && failed.push(`${event.where}: ${event.error}`)),
    })
    await using peer = await connect(site.url, '/ws')
    peer.say('"fail"')
    await using other = await connect(site.url, '/broken')
    await expect.poll(() => failed.sort()).toEqual(['socket /broken: Error: unsayable', 'socket /ws: Error: by intent'])
    for (const one of [peer, other]) expect(one.socket.readyState).toBe(one.socket.OPEN)
  })

  test('is held to the same handshake and limits', async () => {
    await using upstream = await countingUpstream()
    upstream.answer = (_path, response) => json(response, { pot: 1 })
    await using site = await serve({ apps: [lottery(upstream)], socketBurst: 10, socketRate: 1, heartbeat: '200ms' })
    expect((await refused(site.url, '/ws', { origin: 'https://evil.example' })).status).toBe(403)
    expect((await fetch(`${site.url}/ws`)).status).toBe(426)
    await using peer = await connect(site.url, '/ws')
    for (let count = 0; count < 20; count += 1) peer.say('"hello"')
    expect((await peer.ended).code).toBe(4429)
    await using silent = await connect(site.url, '/ws', { autoPong: false } as object)
    expect((await silent.ended).code).toBe(4408)
  })

  test('is refused where it is declared when it can not be', () => {
    const config = (key: string) => expect.objectContaining({ name: 'ConfigError', key })
    expect(() => socket('/ws/:id', { name: 'a' })).toThrow(config('path'))
    expect(() => socket('/ws', { name: 'a', follow: [{}] as never })).toThrow(config('follow'))
    expect(() => socket('/ws', { name: 'a', receive: 1 as never })).toThrow(config('receive'))
    expect(() => socket('/ws', { name: 'a', recieve: 1 } as never)).toThrow(config('recieve'))
    expect(() => follow({} as never, {}, String)).toThrow(config('feed'))
  })
})
