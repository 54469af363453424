import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { clientFrame, handshake, OPCODE } from '../../../test/raw-socket.ts'
import { SocketConnection } from './server.ts'
import type { Outflow } from './socket-writer.ts'
import { SocketMessages } from './upgrade.ts'

/** A connection, and a paused client at its other end. */
async function pair(open: Open, direct: boolean) {
  const server = createServer()
  const opened = new Promise<readonly [Outflow, Socket]>((resolve) => {
    server.on('upgrade', (request, socket, head) =>
      open(request, socket as Socket, head, direct, (connection) => resolve([connection, socket as Socket])),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write(handshake())
  const [connection, socket] = await opened
  const chunks: Buffer[] = []
  client.on('data', (chunk) => chunks.push(chunk)).pause()
  const calls = { drained: 0, closed: 0 }
  connection.owner = { drained: () => void calls.drained++, closed: () => void calls.closed++ }
  return {
    connection,
    socket,
    client,
    calls,
    /** Everything received after the handshake. */
    received() {
      const all = Buffer.concat(chunks)
      const head = all.subarray(0, 9).toString() === 'HTTP/1.1 ' ? all.indexOf('\r\n\r\n') : -4
      return head === -1 ? Buffer.alloc(0) : all.subarray(head + 4)
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
      socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Makes a connection from an upgrade request. */
type Open = (
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  direct: boolean,
  opened: (connection: Outflow) => void,
) => void

const EVENTS: Open = (_request, socket, _head, direct, opened) => opened(new SocketConnection(socket, direct))
const sockets = new WebSocketServer({ noServer: true, clientTracking: false, closeTimeout: 1000 } as object)
const MESSAGES: Open = (request, socket, head, direct, opened) =>
  sockets.handleUpgrade(request, socket, head, (peer) => opened(new SocketMessages(peer, socket, direct)))

/** The last bytes of a connection: the last chunk of a stream, or a close frame with code 1001. */
const EVENTS_END = Buffer.from('0\r\n\r\n')
const MESSAGES_END = Buffer.from([0x88, 2, 0x03, 0xe9])

const FULL = Buffer.alloc(1 << 20, 'x')

/** Writes until the peer lags, and returns how many bytes. */
function fill(connection: Outflow): number {
  for (let sent = FULL.length; ; sent += FULL.length) if (!connection.write(FULL)) return sent
}

describe.each([
  ['events past the stream', EVENTS, true, EVENTS_END],
  ['events through the stream', EVENTS, false, EVENTS_END],
  ['frames past the stream', MESSAGES, true, MESSAGES_END],
  ['frames through the stream', MESSAGES, false, MESSAGES_END],
] as const)('a connection that writes %s', (_how, open, direct, end) => {
  test('lags when the kernel is full, notifies its owner once it has caught up, and loses no byte', async () => {
    await using peer = await pair(open, direct)
    const { connection, client, calls, received } = peer
    for (let round = 1; round <= 2; round++) {
      const before = received().length
      const sent = fill(connection)
      expect(connection.waiting).toBeGreaterThan(0)
      expect(calls.drained).toBe(round - 1)
      client.resume()
      await expect.poll(() => received().length).toBe(before + sent)
      await expect.poll(() => calls.drained).toBe(round)
      expect(connection.waiting).toBe(0)
      client.pause()
    }
    expect(connection.write(Buffer.from('goes on'))).toBe(true)
    client.resume()
    await expect.poll(() => received().subarray(-7).toString()).toBe('goes on')
  })

  test('keeps the order of writes, whether it is corked or the kernel is full', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ write: fc.constantFrom(1, 200, 5000, 3_000_000) }) },
      { weight: 1, arbitrary: fc.constant('corked' as const) },
      { weight: 1, arbitrary: fc.constant('read' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await using peer = await pair(open, direct)
        const { connection, client, received } = peer
        const written: Buffer[] = []
        const write = (size: number) => {
          const bytes = Buffer.alloc(size, written.length)
          written.push(bytes)
          connection.write(bytes)
        }
        for (const step of steps) {
          if (step === 'corked') {
            connection.cork()
            for (const size of [10, 20, 30]) write(size)
            connection.uncork()
          } else if (step === 'read') {
            client.resume()
            await expect.poll(() => connection.waiting).toBe(0)
          } else write(step.write)
        }
        client.resume()
        const all = Buffer.concat(written)
        await expect.poll(() => received().length).toBe(all.length)
        expect(received().equals(all)).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  test('sends everything before it ends, and notifies its owner once', async () => {
    await using peer = await pair(open, direct)
    const { connection, client, calls, received } = peer
    const sent = fill(connection)
    connection.write(Buffer.from('goodbye'))
    connection.close()
    client.resume()
    await once(client, 'end')
    expect(received().length).toBe(sent + 7 + end.length)
    expect(received().subarray(sent)).toEqual(Buffer.concat([Buffer.from('goodbye'), end]))
    await expect.poll(() => calls.closed).toBe(1)
  })

  test('closes once its peer is gone, whatever is written', async () => {
    await using peer = await pair(open, direct)
    const { connection, client, calls } = peer
    client.resetAndDestroy()
    await expect
      .poll(() => {
        connection.write(Buffer.from('x'))
        return calls.closed
      })
      .toBe(1)
    connection.write(Buffer.from('x'))
  })
})

describe.each([
  ['events', EVENTS],
  ['frames', MESSAGES],
] as const)('of %s', (_what, open) => {
  test('bytes that the kernel takes immediately bypass the stream', async () => {
    await using peer = await pair(open, true)
    const { connection, socket, client, received } = peer
    client.resume()
    // Node counts only bytes written through the stream: the handshake.
    const before = socket.bytesWritten
    expect(connection.write(Buffer.from('hello'))).toBe(true)
    await expect.poll(() => received().toString()).toBe('hello')
    expect(socket.bytesWritten).toBe(before)
  })

  test('a destroyed connection writes nothing to the new owner of its descriptor', async () => {
    await using peer = await pair(open, true)
    const { connection, socket } = peer
    const { fd } = (socket as Socket & { _handle: { fd: number } })._handle
    const path = join(mkdtempSync(join(tmpdir(), 'weir-')), 'file')
    socket.destroy()
    const opened: number[] = []
    try {
      // The system assigns the lowest free descriptor.
      while (!opened.includes(fd) && opened.length < 100) opened.push(openSync(path, 'a'))
      expect(opened).toContain(fd)
      connection.write(Buffer.from('not for you'))
      expect(readFileSync(path, 'utf8')).toBe('')
    } finally {
      for (const descriptor of opened) closeSync(descriptor)
    }
  })
})

test('no frame follows a close frame, whichever side closed', async () => {
  for (const closer of ['server', 'client']) {
    await using peer = await pair(MESSAGES, true)
    const { connection, client, received } = peer
    client.resume()
    if (closer === 'server') connection.close()
    else client.write(clientFrame(Buffer.from([0x03, 0xe8]), { opcode: OPCODE.close }))
    await expect.poll(() => received().length).toBe(4)
    expect(connection.write(Buffer.from('too late'))).toBe(true)
    client.end(clientFrame(Buffer.from([0x03, 0xe9]), { opcode: OPCODE.close }))
    await expect.poll(() => client.closed).toBe(true)
    expect(received()).toEqual(Buffer.from([0x88, 2, 0x03, closer === 'server' ? 0xe9 : 0xe8]))
  }
})
