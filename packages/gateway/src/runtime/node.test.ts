import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectSecurely } from 'node:tls'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SocketConnection, sendLive } from './node.ts'

/** A connection and the client at its other end, who reads when he is told to. */
async function pair(direct: boolean) {
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket]: Socket[] = await accepted
  if (socket === undefined) throw new Error('expected a socket')
  const chunks: Buffer[] = []
  client.on('data', (chunk) => chunks.push(chunk)).pause()
  const connection = new SocketConnection(socket, direct)
  const told = { drained: 0, closed: 0 }
  connection.owner = { drained: () => void told.drained++, closed: () => void told.closed++ }
  return {
    connection,
    socket,
    client,
    told,
    heard: () => Buffer.concat(chunks),
    async [Symbol.asyncDispose]() {
      client.destroy()
      socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const FULL = Buffer.alloc(1 << 20, 'x')

/** Writes until the peer lags, and returns how many bytes. */
function fill(connection: SocketConnection): number {
  for (let sent = FULL.length; ; sent += FULL.length) if (!connection.write(FULL)) return sent
}

describe.each([
  ['past the stream', true],
  ['through the stream', false],
])('a connection that writes %s', (_how, direct) => {
  test('lags when the kernel is full, and is told when it has caught up; not a byte is lost', async () => {
    await using peer = await pair(direct)
    const { connection, client, told, heard } = peer
    for (let round = 1; round <= 2; round++) {
      const before = heard().length
      const sent = fill(connection)
      expect(connection.waiting).toBeGreaterThan(0)
      expect(told.drained).toBe(round - 1)
      client.resume()
      await expect.poll(() => heard().length).toBe(before + sent)
      await expect.poll(() => told.drained).toBe(round)
      expect(connection.waiting).toBe(0)
      client.pause()
    }
    expect(connection.write(Buffer.from('goes on'))).toBe(true)
    client.resume()
    await expect.poll(() => heard().subarray(-7).toString()).toBe('goes on')
  })

  test('keeps the order of what it is given, however it is corked and whenever the kernel is full', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ write: fc.constantFrom(1, 200, 5000, 3_000_000) }) },
      { weight: 1, arbitrary: fc.constant('corked' as const) },
      { weight: 1, arbitrary: fc.constant('read' as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await using peer = await pair(direct)
        const { connection, client, heard } = peer
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
        await expect.poll(() => heard().length).toBe(all.length)
        expect(heard().equals(all)).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  test('ends with what was written, and tells its owner once', async () => {
    await using peer = await pair(direct)
    const { connection, client, told, heard } = peer
    const sent = fill(connection)
    connection.write(Buffer.from('goodbye'))
    connection.close()
    client.resume()
    await once(client, 'end')
    expect(heard().length).toBe(sent + 7)
    expect(heard().subarray(-7).toString()).toBe('goodbye')
    await expect.poll(() => told.closed).toBe(1)
  })

  test('whose peer is gone closes, however often it is written to', async () => {
    await using peer = await pair(direct)
    const { connection, client, told } = peer
    client.resetAndDestroy()
    await expect
      .poll(() => {
        connection.write(Buffer.from('x'))
        return told.closed
      })
      .toBe(1)
    connection.write(Buffer.from('x'))
  })
})

test('what the kernel takes at once does not pass the stream', async () => {
  await using peer = await pair(true)
  const { connection, socket, client, heard } = peer
  client.resume()
  expect(connection.write(Buffer.from('hello'))).toBe(true)
  await expect.poll(() => heard().toString()).toBe('hello')
  // Node counts here what went through the stream.
  expect(socket.bytesWritten).toBe(0)
})

test('a connection that was destroyed writes nothing to who has its descriptor now', async () => {
  await using peer = await pair(true)
  const { connection, socket } = peer
  const { fd } = (socket as Socket & { _handle: { fd: number } })._handle
  const path = join(mkdtempSync(join(tmpdir(), 'weir-')), 'file')
  socket.destroy()
  const opened: number[] = []
  try {
    // The system gives the lowest that is free.
    while (!opened.includes(fd) && opened.length < 100) opened.push(openSync(path, 'a'))
    expect(opened).toContain(fd)
    connection.write(Buffer.from('not for you'))
    expect(readFileSync(path, 'utf8')).toBe('')
  } finally {
    for (const one of opened) closeSync(one)
  }
})

test('a live answer over TLS is encrypted as all else', async () => {
  const pskCallback = () => Buffer.from('0123456789abcdef')
  const secure = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
  const server = createSecureServer({ ...secure, pskCallback }, (request, response) => {
    const open = (connection: { write(bytes: Uint8Array): boolean }) => connection.write(Buffer.from('in secret'))
    sendLive({ kind: 'live', headers: {}, open }, request, response, false)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectSecurely({
    ...secure,
    port: (server.address() as AddressInfo).port,
    pskCallback: () => ({ psk: pskCallback(), identity: 'test' }),
    checkServerIdentity: () => undefined,
  })
  try {
    let text = ''
    client.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await expect.poll(() => text).toContain('in secret')
  } finally {
    client.destroy()
    server.closeAllConnections()
    server.close()
  }
})
