/**
 * Players of the lottery, many in a process of its own: each holds a connection, or polls every 30 s as the guide has it. Told what to be by
 * its parent, it reports what they heard and what that took.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Players {
  /**
   * `guide`: the guide's own WebSocket; `patches`: Weir's, which tells what changed; `sse` likewise by events. `deflated` and `gzip` are
   * these two compressed. `poll`: the state, every 30 s, on a connection of its own; `alone` asks price, pot and entrants itself.
   */
  readonly as: 'guide' | 'patches' | 'deflated' | 'sse' | 'gzip' | 'poll' | 'alone'
  readonly count: number
  readonly port: number
  /** The address that they come from: one has 28,000 ports. */
  readonly from: string
  /** What is asked, one after the other, by those who poll: whole requests, each with its port. */
  readonly asks: readonly { readonly port: number; readonly text: string }[]
}

export interface Report {
  readonly connected: number
  readonly messages: number
  /** Bytes of both directions, with all headers. */
  readonly bytes: number
  /** Milliseconds that polls took, from before the connection; since the last report. */
  readonly took: readonly number[]
  /** Answers that were not 200, and connections that were lost; since the beginning. */
  readonly failed: number
}

/** How often a player polls, in milliseconds. */
const EVERY = 30_000

/** Any 16 bytes (RFC 6455, 4.1). */
const KEY = Buffer.alloc(16).toString('base64')

const TEXT = 1
const PING = 9
const PONG = 10

/** Connections that are opened at once. */
const AT_ONCE = 200

const sockets = new Set<Socket>()
let connected = 0
let messages = 0
let gone = 0
let failed = 0
let took: number[] = []

process.on('message', async (told: Players | 'report') => {
  if (told !== 'report') await join(told)
  const open = [...sockets].reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0)
  process.send?.({ connected, messages, bytes: gone + open, took, failed } satisfies Report)
  took = []
})

async function join(players: Players): Promise<void> {
  const { as, count } = players
  if (as === 'poll' || as === 'alone') {
    for (let player = 0; player < count; player++) {
      const poll = () => void polled(players).catch(() => (failed += 1))
      setTimeout(() => setInterval(poll, EVERY), (player / count) * EVERY)
    }
    connected = count
    return
  }
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - from) })
    await Promise.all(some.map(() => (as === 'sse' || as === 'gzip' ? stream(players) : socket(players))))
  }
}

/** A WebSocket (RFC 6455) of the least that one can be: thousands of them must not take the processor from what is measured. */
async function socket({ as, port, from }: Players): Promise<void> {
  const one = connect({ port, host: '127.0.0.1', localAddress: from })
  sockets.add(one)
  const extensions = as === 'deflated' ? 'sec-websocket-extensions: permessage-deflate\r\n' : ''
  const upgrade = 'upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n'
  const path = as === 'guide' ? '/ws' : '/weir/ws'
  one.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${upgrade}sec-websocket-key: ${KEY}\r\n${extensions}\r\n`)
  const [answer]: Buffer[] = await once(one, 'data')
  if (!answer?.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`expected 101, got ${answer}`)
  one.on('close', () => (failed += 1))
  let rest = answer.subarray(answer.indexOf('\r\n\r\n') + 4)
  const read = () => {
    for (;;) {
      const [first = 0, length = 0] = rest
      const head = length < 126 ? 2 : length === 126 ? 4 : 10
      if (rest.length < head) return
      const size = head === 2 ? length : head === 4 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2))
      if (rest.length < head + size) return
      if ((first & 15) === PING) one.write(frame(PONG, rest.subarray(head, head + size)))
      else messages += 1
      rest = rest.subarray(head + size)
    }
  }
  one.on('data', (data) => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data])
    read()
  })
  read()
  if (as !== 'guide') one.write(frame(TEXT, Buffer.from('{"type":"subscribe","topic":"/api/state"}')))
  connected += 1
}

/** Masked with zeros, as short ones are from clients. */
function frame(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([128 | opcode, 128 | payload.length, 0, 0, 0, 0]), payload])
}

async function stream({ as, port, from }: Players): Promise<void> {
  const one = connect({ port, host: '127.0.0.1', localAddress: from })
  await once(one, 'connect')
  sockets.add(one)
  const packed = as === 'gzip' ? 'accept-encoding: gzip\r\n' : ''
  one.write(`GET /weir/stream?topic=/api/state HTTP/1.1\r\nhost: x\r\n${packed}accept: text/event-stream\r\n\r\n`)
  one.on('data', () => (messages += 1))
  one.on('close', () => (failed += 1))
  connected += 1
}

async function polled({ asks, from }: Players): Promise<void> {
  for (const { port, text } of asks) {
    const began = performance.now()
    const one = connect({ port, host: '127.0.0.1', localAddress: from })
    one.setTimeout(10_000, () => one.destroy(new Error('no answer in 10 s')))
    one.write(text)
    const parts: Buffer[] = []
    one.on('data', (data) => parts.push(data))
    await once(one, 'end')
    one.end()
    took.push(performance.now() - began)
    gone += one.bytesRead + one.bytesWritten
    if (!parts[0]?.toString('latin1').startsWith('HTTP/1.1 200')) failed += 1
    await pause(0)
  }
}
