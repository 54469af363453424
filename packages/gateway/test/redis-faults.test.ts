import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from 'redis'
import { describe, expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import type { Publication } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { hashOf } from '../src/entry.ts'
import { content } from './content.ts'

const TOPIC = '/prices/SOL'
const DEADLINE = 250

/** What a busy machine may add to a deadline, in milliseconds. */
const LATE = 400

/** A server, a backend on it, and a way to order the server about. */
async function opened() {
  const server = await redisServer()
  const prefix = randomUUID()
  const open = (node = 'node') => redisBackend({ url: server.url, prefix, node, deadline: DEADLINE, report: () => {} })
  const backend = open()
  const admin = createClient({ url: server.url })
  admin.on('error', () => {})
  await admin.connect()
  return {
    ...{ server, backend, admin, open, prefix, keys: redisKeys(prefix) },
    async [Symbol.asyncDispose]() {
      admin.destroy()
      await backend.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

type Opened = Awaited<ReturnType<typeof opened>>

/** How long the work took until it was done or had failed, and its error's code. */
async function timed(work: () => Promise<unknown>): Promise<{ took: number; code: string | undefined }> {
  const began = performance.now()
  const code = await work().then(
    () => undefined,
    (error) => error.code,
  )
  return { took: performance.now() - began, code }
}

function publication(token: number, value: unknown): Publication {
  const made = content(value)
  return { token, knownEpoch: 0, hash: hashOf(made), content: made, keep: 60_000 }
}

async function publish({ values, leases }: Opened['backend'], value: unknown) {
  const lease = await leases.acquire(TOPIC, 'a', 10_000, 0)
  if (!lease.held) throw new Error('expected the lease')
  const stored = await values.publish(TOPIC, publication(lease.token, value))
  await leases.release(TOPIC, 'a', lease.token)
  return stored
}

/** It works again, within a few seconds, by itself. */
async function recovers({ backend }: Opened): Promise<void> {
  await expect
    .poll(() => timed(() => publish(backend, 'after')).then(({ code }) => code), { timeout: 8000 })
    .toBe(undefined)
  expect((await backend.values.read(TOPIC))?.json?.toString()).toBe('"after"')
}

describe('while Redis is stopped for 2 s', () => {
  test('every command has failed by its deadline, and a late reply changes nothing', async () => {
    await using all = await opened()
    const { backend, server } = all
    await publish(backend, 'before')
    const held = await backend.leases.acquire(TOPIC, 'a', 10_000, 0)
    if (!held.held) throw new Error('expected the lease')
    server.freeze()
    const commands = Array.from({ length: 20 }, (_, index) => [
      timed(async () => backend.values.read(TOPIC)),
      timed(() => backend.leases.acquire(`${TOPIC}/${index}`, 'late', 60_000, 0)),
      timed(() => backend.values.publish(TOPIC, publication(held.token - 1, 'late'))),
    ]).flat()
    for (const { took, code } of await Promise.all(commands)) {
      expect(code).toBe('backend_unavailable')
      expect(took).toBeLessThan(DEADLINE + LATE)
    }
    // Now that enough have failed, nothing waits for the deadline any more.
    expect((await timed(async () => backend.values.read(TOPIC))).took).toBeLessThan(DEADLINE / 2)
    await sleep(1700)
    server.thaw()
    await backend.leases.release(TOPIC, 'a', held.token).catch(() => {})
    await recovers(all)
    // A lease that was granted too late for its asker was given back, or waits for nobody longer than its connection.
    await expect
      .poll(() => backend.leases.acquire(`${TOPIC}/3`, 'other', 1000, 0).then(({ held }) => held), { timeout: 8000 })
      .toBe(true)
  })

  test('grants whose answer came too late are taken back', async () => {
    await using all = await opened()
    const { backend, server } = all
    const plan = { limits: [{ limit: 3, window: 60_000, by: 'account' as const }], keys: 1, pastUsage: 'none' as const }
    const meter = backend.meters.open('upstream', plan)
    expect((await meter.acquire([])).granted).toEqual([])
    server.freeze()
    const want = { priority: 'interactive', cost: 1 } as const
    const taken = await Promise.race([meter.acquire([want, want, want]), sleep(DEADLINE + LATE)])
    expect(taken).toMatchObject({ granted: [] })
    await sleep(500)
    server.thaw()
    await expect.poll(async () => (await meter.acquire([want])).granted.length, { timeout: 8000 }).toBe(1)
    expect((await meter.acquire([want, want, want])).granted).toHaveLength(2)
  })
})

test('a lease holder stopped past its lease: another takes over, and the late write is refused', async () => {
  await using all = await opened()
  const { backend, server, prefix } = all
  const holder = fork(fileURLToPath(new URL('lease-holder.ts', import.meta.url)), [server.url, prefix, TOPIC])
  try {
    const taken: boolean[] = []
    holder.on('message', (was: boolean) => taken.push(was))
    await expect.poll(() => taken.at(-1), { timeout: 10_000 }).toBe(true)
    holder.kill('SIGSTOP')
    await expect
      .poll(() => publish(backend, 'of another').then((stored) => stored?.json?.toString()), { timeout: 10_000 })
      .toBe('"of another"')
    holder.kill('SIGCONT')
    await expect.poll(() => taken.at(-1), { timeout: 10_000 }).toBe(false)
    expect((await backend.values.read(TOPIC))?.json?.toString()).toBe('"of another"')
  } finally {
    holder.kill('SIGKILL')
  }
}, 40_000)

test('killed and started again empty: versions go on upwards, the budget is shut for a window, calls under way count', async () => {
  await using all = await opened()
  const { backend, server } = all
  const limits = [{ limit: 3, window: 700, by: 'account' as const }]
  const meter = backend.meters.open('upstream', { limits, keys: 1, pastUsage: 'none', timeout: 300 })
  const want = { priority: 'interactive', cost: 1 } as const
  const { granted } = await meter.acquire([want, want, want])
  expect(granted).toHaveLength(3)
  const before = await publish(backend, 'before')
  await server.kill()
  const { took, code } = await timed(async () => backend.values.read(TOPIC))
  expect(code).toBe('backend_unavailable')
  expect(took).toBeLessThan(DEADLINE + LATE)
  expect(await meter.acquire([want])).toMatchObject({ granted: [] })
  await server.start()
  await recovers(all)
  expect((await backend.values.read(TOPIC))?.version.epoch).toBeGreaterThan(before?.version.epoch ?? Number.NaN)
  await sleep(2000)
  expect((await meter.acquire([want])).granted).toHaveLength(0)
  for (const grant of granted) meter.release(grant)
  await expect.poll(async () => (await meter.acquire([want])).granted.length, { timeout: 8000, interval: 50 }).toBe(1)
})

test('everything flushed midway: the token rises, the old holder is refused, and what is under way still counts', async () => {
  await using all = await opened()
  const { backend, admin } = all
  const limits = [{ limit: 3, window: 1000, by: 'account' as const }]
  const meter = backend.meters.open('upstream', { limits, keys: 1, pastUsage: 'none', timeout: 500 })
  const want = { priority: 'interactive', cost: 1 } as const
  expect((await meter.acquire([want])).granted).toHaveLength(1)
  const before = await backend.leases.acquire(TOPIC, 'old', 10_000, 0)
  await admin.flushAll()
  const after = await backend.leases.acquire(TOPIC, 'new', 10_000, 0)
  if (!before.held || !after.held) throw new Error('expected both leases')
  expect(after.token).toBeGreaterThan(before.token)
  expect(await backend.values.publish(TOPIC, publication(before.token, 'old'))).toBeUndefined()
  await expect
    .poll(async () => (await meter.acquire([want, want, want])).granted.length, { timeout: 8000, interval: 20 })
    .toBe(2)
})

test.each([
  ['a replica that may not write', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ['out of memory', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
])('%s: writes fail at once and change nothing, and it goes on by itself', async (_, order, back) => {
  await using all = await opened()
  const { backend, admin } = all
  await publish(backend, 'before')
  await admin.sendCommand(order)
  const { took, code } = await timed(() => publish(backend, 'refused'))
  expect(code).toBe('backend_unavailable')
  expect(took).toBeLessThan(DEADLINE + LATE)
  await admin.sendCommand(back)
  expect((await backend.values.read(TOPIC))?.json?.toString()).toBe('"before"')
  await recovers(all)
})

test('scripts flushed: nobody notices', async () => {
  await using all = await opened()
  const { backend, admin } = all
  await publish(backend, 'before')
  await admin.scriptFlush()
  expect((await publish(backend, 'after'))?.json?.toString()).toBe('"after"')
})

test('something else at a key: an error, and no wait; what is at a window is cleared away', async () => {
  await using all = await opened()
  const { backend, admin, keys } = all
  await admin.set(keys.value(TOPIC), 'not a hash')
  expect((await timed(() => publish(backend, 'a'))).code).toBe('backend_unavailable')
  await admin.del(keys.value(TOPIC))
  await admin.del(keys.lease(TOPIC))
  await recovers(all)

  const limits = [{ limit: 3, window: 500, by: 'account' as const }]
  const meter = backend.meters.open('upstream', { limits, keys: 1, pastUsage: 'none', timeout: 300 })
  const want = { priority: 'interactive', cost: 1 } as const
  expect((await meter.acquire([want])).granted).toHaveLength(1)
  await admin.set(`${keys.meter('upstream')}:1:500:a`, 'not a set')
  // A new set, and the call under way counts in it too: before or after the node has told of it, there is room for two more.
  let more = 0
  const rest = async () => {
    more += (await meter.acquire([want, want, want])).granted.length
    return more
  }
  await expect.poll(rest, { timeout: 8000, interval: 50 }).toBe(2)
  expect(await rest()).toBe(2)
})
