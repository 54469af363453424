import { expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import type { ConnectionOwner, MessageReader, MessageSocket } from '../call.ts'
import { PING_FRAME } from './frame.ts'
import { Peer, Peers } from './peers.ts'

/** A socket that remembers; told to be slow, it keeps what it is given. */
class Remembering implements MessageSocket {
  owner: ConnectionOwner | undefined
  reader: MessageReader | undefined
  readonly deflates = false
  readonly frames: Uint8Array[] = []
  ended: number | undefined
  waiting = 0
  slow = false

  write(frame: Uint8Array): boolean {
    if (this.ended !== undefined) return true
    this.frames.push(frame)
    if (this.slow) this.waiting += frame.length
    return !this.slow
  }

  cork(): void {}
  uncork(): void {}
  close(): void {}

  end(code: number): void {
    this.ended ??= code
  }

  get pings(): number {
    return this.frames.filter((frame) => frame === PING_FRAME).length
  }
}

class Plain extends Peer {
  readonly heard: unknown[] = []
  hear(message: unknown): boolean {
    this.heard.push(message)
    return message !== 'odd'
  }
  refuse(): void {}
}

function open({ rate = 10, burst = 20 } = {}) {
  const clock = new ManualClock()
  const peers = new Peers(clock, 10_000, { message: 16_384, topics: 1, rate, burst })
  const socket = new Remembering()
  return { clock, peers, socket, peer: new Plain(peers, socket) }
}

test('a peer that answers is pinged at least once a heartbeat, for ever', async () => {
  const { clock, socket } = open()
  for (let round = 1; round <= 20; round += 1) {
    await clock.advance(10_000)
    expect(socket.pings).toBeGreaterThanOrEqual(round)
    expect(socket.pings).toBeLessThanOrEqual(round * 1.25 + 1)
    socket.reader?.pong()
  }
  expect(socket.ended).toBeUndefined()
})

test('a peer that leaves two pings without an answer is closed, and any sign of life is one', async () => {
  const { clock, socket } = open()
  await clock.advance(16_000)
  socket.reader?.message('1')
  const before = socket.pings
  await clock.advance(16_000)
  expect([socket.pings - before, socket.ended]).toEqual([2, undefined])
  await clock.advance(8000)
  expect(socket.ended).toBe(4408)
})

test('a peer that is slow is not silent as long as it reads', async () => {
  const { clock, socket, peer } = open()
  socket.slow = true
  expect(peer.write(new Uint8Array(100_000))).toBe(false)
  for (let round = 0; round < 10; round += 1) {
    await clock.advance(8000)
    socket.waiting -= 1000
  }
  expect(socket.ended).toBeUndefined()
  // What can't be read before all else would only add to what waits.
  expect(socket.pings).toBe(0)
  await clock.advance(40_000)
  expect(socket.ended).toBe(4408)
})

test('messages a second are counted exactly, with a burst', async () => {
  const { clock, socket, peer } = open({ rate: 10, burst: 20 })
  for (let count = 0; count < 20; count += 1) socket.reader?.message('0')
  await clock.advance(1000)
  for (let count = 0; count < 10; count += 1) socket.reader?.message('0')
  expect([peer.heard.length, socket.ended]).toEqual([30, undefined])
  socket.reader?.message('0')
  expect([peer.heard.length, socket.ended]).toEqual([30, 4429])
})

test('a peer that asks for more while megabytes wait for it is closed', () => {
  const { socket, peer } = open()
  socket.waiting = 4 * 1024 * 1024 + 1
  socket.reader?.message('1')
  expect([peer.heard, socket.ended]).toEqual([[], 4413])
})

test('ten messages in a row that can not be read are too many, nine are not', () => {
  const { socket } = open({ burst: 100 })
  for (const text of ['nonsense', '"odd"']) {
    for (let count = 0; count < 9; count += 1) socket.reader?.message(text)
    socket.reader?.message('1')
  }
  expect(socket.ended).toBeUndefined()
  for (let count = 0; count < 10; count += 1) socket.reader?.message(count % 2 === 0 ? '{' : '"odd"')
  expect(socket.ended).toBe(4400)
})

test('pings are answered with their data, binary messages are not taken', () => {
  const { socket } = open()
  socket.reader?.ping(Buffer.from('abc'))
  expect(Buffer.from(socket.frames[0] ?? []).toString('latin1')).toBe('\x8a\x03abc')
  socket.reader?.binary()
  expect(socket.ended).toBe(1003)
})

test('when all have left, nothing is timed any more', async () => {
  const { clock, peers, socket } = open()
  const other = new Remembering()
  new Plain(peers, other)
  expect(clock.timers).toBe(1)
  socket.owner?.closed()
  other.owner?.closed()
  await clock.advance(10_000)
  expect(clock.timers).toBe(0)
})
