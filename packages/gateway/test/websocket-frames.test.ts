import { createHash } from 'node:crypto'
import { CLOSE_CODES } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { createGateway } from '../src/index.ts'
import { countingUpstream, json } from './counting-upstream.ts'
import { clientFrame, handshake, OPCODE, RawSocket } from './raw-socket.ts'
import { testApp } from './served.ts'
import { connect } from './web-socket.ts'

/** A site that is asked by bare sockets. */
async function open(options: Partial<Parameters<typeof createGateway>[0]> = {}) {
  const upstream = await countingUpstream()
  const gateway = createGateway({ apps: [testApp(upstream)], ...options })
  const [url = ''] = await gateway.listen({ port: 0 })
  return {
    upstream,
    gateway,
    url,
    async [Symbol.asyncDispose]() {
      await gateway.close(1000)
      await upstream[Symbol.asyncDispose]()
    },
  }
}

const PING = JSON.stringify({ type: 'ping', id: 'é€😀' })
const pongs = (raw: RawSocket) => raw.texts.filter((text) => text.includes('"pong"')).length

describe('what breaks RFC 6455 is closed with the code for it', () => {
  test.each([
    ['an unmasked frame', [clientFrame(PING, { masked: false })], 1002],
    ['a reserved bit', [clientFrame(PING, { reserved: 1 })], 1002],
    ['the bit of compression that was not agreed on', [clientFrame(PING, { reserved: 4 })], 1002],
    ['reserved opcode 3', [clientFrame('', { opcode: 3 })], 1002],
    ['reserved opcode 11', [clientFrame('', { opcode: 11 })], 1002],
    ['a continuation of nothing', [clientFrame('x', { opcode: OPCODE.continuation })], 1002],
    ['a text inside of a text', [clientFrame('x', { fin: false }), clientFrame('x')], 1002],
    ['a ping in pieces', [clientFrame('x', { opcode: OPCODE.ping, fin: false })], 1002],
    ['a ping of 126 bytes', [clientFrame('x'.repeat(126), { opcode: OPCODE.ping })], 1002],
    ['a close of one byte', [clientFrame('x', { opcode: OPCODE.close })], 1002],
    ['a close code that is none', [clientFrame(Buffer.from([0x03, 0xed]), { opcode: OPCODE.close })], 1002],
    ['a close reason that is no UTF-8', [clientFrame(Buffer.from([0x03, 0xe8, 0xff]), { opcode: OPCODE.close })], 1007],
    ['a text that is no UTF-8', [clientFrame(Buffer.from([0x22, 0xce, 0xba, 0xe1, 0x22]))], 1007],
    ['a surrogate in UTF-8', [clientFrame(Buffer.from([0xed, 0xa0, 0x80]))], 1007],
    ['a code point beyond the last', [clientFrame(Buffer.from([0xf4, 0x90, 0x80, 0x80]))], 1007],
    [
      'half a letter at the end of a text in pieces',
      [clientFrame('"', { fin: false }), clientFrame(Buffer.from([0xce]), { opcode: 0 })],
      1007,
    ],
    ['a binary message', [clientFrame(PING, { opcode: OPCODE.binary })], 1003],
    ['a message that is too large', [clientFrame('x'.repeat(16_385))], 1009],
    ['one that only says so', [clientFrame('', { length: 2 ** 33 })], 1009],
    [
      'one beyond all numbers',
      [Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4])],
      1009,
    ],
    [
      'one that grows too large by its pieces',
      [clientFrame('x'.repeat(16_000), { fin: false }), clientFrame('x'.repeat(385), { opcode: 0 })],
      1009,
    ],
    [
      'one in too many pieces',
      [
        clientFrame('x', { fin: false }),
        ...Array.from({ length: 300 }, () => clientFrame('x', { opcode: 0, fin: false })),
      ],
      1008,
    ],
  ])('%s', async (_what, frames, code) => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    for (const frame of frames) raw.socket.write(frame)
    expect(await raw.ended()).toBe(code)
    const named = Object.entries(CLOSE_CODES).find(([, row]) => row.code === code)
    expect(raw.closedFor).toBe(named?.[0])
    raw.socket.end()
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })
})

describe('what RFC 6455 allows is taken', () => {
  test('the answer to the handshake is the one for its key', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    const accept = createHash('sha1')
      .update('dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
      .digest('base64')
    expect(raw.head).toMatch(/^HTTP\/1\.1 101 /)
    expect(raw.head.toLowerCase()).toContain(`sec-websocket-accept: ${accept.toLowerCase()}`)
    expect(raw.head).not.toMatch(/sec-websocket-(extensions|protocol)/i)
  })

  test.each([
    ['permessage-deflate; server_max_window_bits=15', /server_max_window_bits=15/],
    ['permessage-deflate; client_max_window_bits', /^sec-websocket-extensions: permessage-deflate/im],
    ['permessage-deflate; server_max_window_bits=10, permessage-deflate', /^sec-websocket-extensions: perm/im],
  ])('an offer of compression that can be accepted is: %s', async (offer, answered) => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url, '/weir/ws', [`sec-websocket-extensions: ${offer}`])
    expect(raw.head).toMatch(/^HTTP\/1\.1 101 /)
    expect(raw.head).toMatch(answered)
  })

  test.each(['permessage-deflate; unknown=1', 'permessage-deflate; a; a', 'x-other'])(
    'another is declined, and the connection is a plain one: %s',
    async (offer) => {
      await using site = await open()
      await using raw = await RawSocket.open(site.url, '/weir/ws', [`sec-websocket-extensions: ${offer}`])
      expect(raw.head).toMatch(/^HTTP\/1\.1 101 /)
      expect(raw.head).not.toMatch(/sec-websocket-extensions/i)
      raw.say(PING)
      await raw.until(() => pongs(raw) === 1)
    },
  )

  test('HTTP/1.0 has no upgrade', async () => {
    await using site = await open()
    await using raw = new RawSocket(site.url)
    raw.socket.write(handshake().replace('HTTP/1.1', 'HTTP/1.0'))
    await raw.until(() => raw.head !== '' || raw.over)
    expect(raw.head).toMatch(/^HTTP\/1\.[01] 426 /)
  })

  test('what is sent with the handshake is not lost', async () => {
    await using site = await open()
    await using raw = new RawSocket(site.url)
    raw.socket.write(Buffer.concat([Buffer.from(handshake()), clientFrame(PING)]))
    await raw.until(() => pongs(raw) === 1)
  })

  test('a message in pieces, byte by byte, with pings between, is one message', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    const bytes = Buffer.from(PING)
    const frames = [...bytes].map((byte, index) =>
      clientFrame(Buffer.from([byte]), {
        opcode: index === 0 ? OPCODE.text : OPCODE.continuation,
        fin: index === bytes.length - 1,
      }),
    )
    frames.splice(5, 0, clientFrame('between', { opcode: OPCODE.ping }), clientFrame('', { opcode: OPCODE.pong }))
    frames.splice(9, 0, clientFrame('', { opcode: OPCODE.continuation, fin: false }))
    for (const byte of Buffer.concat(frames)) raw.socket.write(Buffer.from([byte]))
    await raw.until(() => pongs(raw) === 1)
    expect(raw.texts.find((text) => text.includes('"pong"'))).toContain('"id":"é€😀"')
    expect(raw.frames.filter(({ head }) => head === 0x8a).map(({ payload }) => payload.toString())).toEqual(['between'])
  })

  test('a message of just the size that may be', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    const message = (size: number) => {
      const bare = JSON.stringify({ type: 'ping', more: '' })
      return JSON.stringify({ type: 'ping', more: 'x'.repeat(size - bare.length) })
    }
    raw.say(message(16_384))
    await raw.until(() => pongs(raw) === 1)
  })

  test('a close is answered with its code, and the connection ends', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    raw.say(Buffer.from([0x03, 0xe8]), { opcode: OPCODE.close })
    expect(await raw.ended()).toBe(1000)
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })

  test('nothing is said after a close frame, whatever comes', async () => {
    await using site = await open()
    let count = 0
    site.upstream.answer = (_path, response) => json(response, count++)
    await using raw = await RawSocket.open(site.url)
    raw.say(JSON.stringify({ type: 'subscribe', topic: '/items/a' }))
    await raw.until(() => raw.texts.some((text) => text.includes('snapshot')))
    raw.socket.write(
      Buffer.concat([clientFrame(Buffer.from([0x03, 0xe8]), { opcode: OPCODE.close }), clientFrame(PING)]),
    )
    await raw.ended()
    expect(raw.frames.at(-1)?.head).toBe(0x88)
    expect(pongs(raw)).toBe(0)
  })
})

describe('a connection that ends badly is gone from memory', () => {
  test.each([
    ['its client vanishes', (raw: RawSocket) => raw.socket.destroy()],
    ['its client is reset', (raw: RawSocket) => raw.socket.resetAndDestroy()],
    ['its client ends its side alone', (raw: RawSocket) => raw.socket.end()],
    ['its client ends in the midst of a frame', (raw: RawSocket) => raw.socket.end(clientFrame(PING).subarray(0, 7))],
  ])('when %s', async (_how, leave) => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    raw.say(JSON.stringify({ type: 'subscribe', topic: '/items/a' }))
    await raw.until(() => raw.texts.some((text) => text.includes('snapshot')))
    expect(site.gateway.metrics.summary.connections).toBe(1)
    leave(raw)
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })

  test('when its client does not answer a close', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url)
    raw.say('', { opcode: OPCODE.binary })
    await raw.until(() => raw.closedWith === 1003)
    // We say nothing and end nothing: the server does not wait for ever.
    await expect.poll(() => site.gateway.metrics.summary.connections, { timeout: 5000 }).toBe(0)
  })

  test('when its client stopped reading, and the server goes', async () => {
    await using site = await open({ heartbeat: '1h' })
    const big = 'x'.repeat(500_000)
    let count = 0
    site.upstream.answer = (_path, response) => json(response, { count: count++, big })
    await using raw = await RawSocket.open(site.url)
    raw.socket.pause()
    raw.say(JSON.stringify({ type: 'subscribe', topic: '/items/a', patches: false }))
    await expect.poll(() => count, { timeout: 10_000 }).toBeGreaterThan(30)
    await site.gateway.close(1000)
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })
})

test('a reader that sleeps keeps nobody waiting, and wakes to the latest values, whole', async () => {
  await using site = await open({ heartbeat: '1h' })
  const now = { step: 1, noise: 0, noisy: true }
  const [small, big] = ['x'.repeat(200), 'x'.repeat(200_000)]
  site.upstream.answer = (path, response) => {
    if (now.noisy) now.noise += 1
    json(response, path === '/items/noise' ? { noise: now.noise, big } : { step: now.step, small })
  }
  // Compressed, it could be told for hours before its socket is full.
  await using sleeper = await connect(site.url, '/weir/ws', { perMessageDeflate: false })
  await using awake = await connect(site.url)
  for (const peer of [sleeper, awake]) {
    peer.say({ type: 'subscribe', topic: '/items/a' })
    await peer.hears('snapshot', ({ topic }) => topic === '/items/a')
  }
  sleeper.say({ type: 'subscribe', topic: '/items/noise', patches: false })
  sleeper.socket.pause()
  const lagging = async () => /^weir_connections_lagging (\d+)$/m.exec(await site.gateway.metrics.text([]))?.[1]
  await expect.poll(lagging, { timeout: 10_000 }).toBe('1')
  now.noisy = false
  now.step = 2
  expect(await awake.hears('patch')).toMatchObject({ topic: '/items/a', patch: { step: 2 } })
  sleeper.socket.resume()
  // What it was sent last is not kept for the sake of a patch while it sleeps.
  const told = () =>
    sleeper.heard.filter(
      (message) => message.type !== 'heartbeat' && 'topic' in message && message.topic === '/items/a',
    )
  await expect.poll(() => told().map(({ type }) => type)).toEqual(['snapshot', 'snapshot'])
  expect(told()[1]).toMatchObject({ value: { step: 2 } })
  const noises = sleeper.heard.flatMap((message) =>
    message.type === 'snapshot' && message.topic === '/items/noise' ? [(message.value as { noise: number }).noise] : [],
  )
  expect(noises).toEqual([...new Set(noises)].sort((a, b) => a - b))
})

describe('an upgrade that is none of ours', () => {
  test.each([
    ['to h2c', 'GET /items/a HTTP/1.1\r\nhost: raw\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', 200],
    [
      'to a WebSocket, by POST',
      'POST /weir/ws HTTP/1.1\r\nhost: raw\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\n{}',
      405,
    ],
    ['with a body', handshake().replace('\r\n\r\n', '\r\ncontent-length: 2\r\n\r\n{}'), 426],
    ['without the word in Connection', handshake().replace('connection: Upgrade', 'connection: keep-alive'), 426],
    ['of a live stream', handshake('/items/a?as=sse'), 200],
    ['of the version before', handshake().replace('version: 13', 'version: 8'), 426],
    ['with two keys', handshake('/weir/ws', ['sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==']), 400],
    [
      'with an extension that can not be read',
      handshake('/weir/ws', ['sec-websocket-extensions: permessage-deflate; =']),
      400,
    ],
    ['at an address of nothing', handshake('/nothing'), 404],
  ])('%s is answered', async (_what, request, status) => {
    await using site = await open()
    await using raw = new RawSocket(site.url)
    raw.socket.write(request)
    await raw.until(() => raw.head !== '')
    expect(raw.head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  test('behind a call that is not answered yet ends the connection', async () => {
    await using site = await open()
    let asked = 0
    site.upstream.answer = () => (asked += 1)
    await using raw = new RawSocket(site.url)
    raw.socket.write('GET /items/a HTTP/1.1\r\nhost: raw\r\n\r\n')
    await expect.poll(() => asked).toBe(1)
    raw.socket.write(handshake())
    await raw.until(() => raw.over)
    expect(site.gateway.metrics.summary.connections).toBe(0)
  })

  test('of a stream ends when its client leaves', async () => {
    await using site = await open()
    await using raw = await RawSocket.open(site.url, '/items/a?as=sse')
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(1)
    raw.socket.end()
    await expect.poll(() => site.gateway.metrics.summary.connections).toBe(0)
  })
})
