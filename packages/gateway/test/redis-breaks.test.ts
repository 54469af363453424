import { randomUUID } from 'node:crypto'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import type { Backend, LogLine } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import type { Stored } from '../src/entry.ts'
import { content } from './content.ts'

const TOPIC = '/prices/SOL'
const BOUNDS = { events: 10, age: 60_000 }

let server: RedisServer

beforeAll(async () => {
  server = await redisServer()
})

afterAll(() => server[Symbol.asyncDispose]())

/** Two nodes, of which one may be cut off from what the other says. */
async function opened() {
  const prefix = randomUUID()
  const open = (node: string) => redisBackend({ url: server.url, prefix, node, deadline: 5000, report: () => {} })
  const [one, other] = [open('one'), open('other')]
  const admin = createClient({ url: server.url })
  await admin.connect()
  return {
    one,
    other,
    admin,
    /** Ends every connection that listens. */
    breaks: () => admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']),
    async [Symbol.asyncDispose]() {
      await one.close()
      await other.close()
      admin.destroy()
    },
  }
}

async function publish({ leases, values }: Backend, value: unknown): Promise<void> {
  const lease = await leases.acquire(TOPIC, 'one', 5000, 0)
  if (!lease.held) throw new Error('expected the lease')
  await values.publish(TOPIC, {
    token: lease.token,
    knownEpoch: 0,
    hash: String(value),
    content: content(value),
    keep: 60_000,
  })
  await leases.release(TOPIC, 'one', lease.token)
}

const text = (stored: Stored | undefined) => stored?.json?.toString()

test('a value that was published before one listens, or while the connection was broken, is heard all the same', async () => {
  await using nodes = await opened()
  await publish(nodes.one, 1)
  const heard: Stored[] = []
  nodes.other.bus.subscribe(TOPIC, (stored) => heard.push(stored))
  await expect.poll(() => text(heard.at(-1))).toBe('1')
  for (let value = 2; value < 12; value++) {
    await nodes.breaks()
    await publish(nodes.one, value)
    await expect.poll(() => text(heard.at(-1))).toBe(String(value))
  }
  // It is heard live again too: not only what it is told when it comes back.
  await expect
    .poll(async () => {
      const before = heard.length
      await publish(nodes.one, before)
      return heard.length > before
    })
    .toBe(true)
})

test('the last event of a log is heard after a break, so that a reader sees what it missed', async () => {
  await using nodes = await opened()
  const heard: LogLine[] = []
  nodes.other.logs.subscribe('trades', (line) => heard.push(line))
  await nodes.one.logs.append('trades', Buffer.from('1'), BOUNDS)
  await expect.poll(() => heard.at(-1)?.offset).toBe(1)
  await nodes.breaks()
  for (let event = 2; event <= 4; event++) await nodes.one.logs.append('trades', Buffer.from(String(event)), BOUNDS)
  await expect.poll(() => heard.at(-1)?.offset).toBe(4)
})

test('a log that was flushed begins a larger epoch, and one whose events alone were evicted goes on', async () => {
  await using nodes = await opened()
  const { logs } = nodes.one
  const first = await logs.append('trades', Buffer.from('1'), BOUNDS)
  await server.flush()
  const second = await logs.append('trades', Buffer.from('2'), BOUNDS)
  expect(second.epoch).toBeGreaterThan(first.epoch)
  expect(second.sequence).toBe(1)
  const [stream = ''] = (await nodes.admin.keys('*:log')).filter((key) => key.includes('trades'))
  await nodes.admin.del(stream)
  expect(await logs.read('trades', 0, 10)).toMatchObject({ epoch: second.epoch, events: [], oldest: 2, newest: 1 })
  expect(await logs.append('trades', Buffer.from('3'), BOUNDS)).toEqual({ epoch: second.epoch, sequence: 2 })
})

test('who attends is told when words may have been missed', async () => {
  await using nodes = await opened()
  const words: string[] = []
  nodes.other.bus.onBroadcast('drops', (word) => words.push(word))
  await expect.poll(() => words).toEqual([''])
  nodes.one.bus.broadcast('drops', 'heard')
  await expect.poll(() => words).toEqual(['', 'heard'])
  await nodes.breaks()
  nodes.one.bus.broadcast('drops', 'perhaps')
  await expect.poll(() => words.slice(2).includes('')).toBe(true)
})
