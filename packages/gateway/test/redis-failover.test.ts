import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'
import type { Backend, LogLine } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { slotOf } from '../src/backend/redis/slot.ts'
import { hashOf, type Stored } from '../src/entry.ts'
import { content } from './content.ts'
import { order, redisCluster } from './redis-cluster.ts'
import { relay } from './relay.ts'

const DEADLINE = 250

/** What a busy machine may add to a deadline, in milliseconds. */
const LATE = 400

async function publish({ leases, values }: Backend, topic: string, value: unknown): Promise<Stored | undefined> {
  const lease = await leases.acquire(topic, 'one', 5000, 0)
  if (!lease.held) throw new Error('expected the lease')
  try {
    const made = content(value)
    return await values.publish(topic, {
      token: lease.token,
      knownEpoch: 0,
      hash: hashOf(made),
      content: made,
      keep: 60_000,
    })
  } finally {
    await leases.release(topic, 'one', lease.token).catch(() => {})
  }
}

/** Names of which each has its key on another of three servers. */
function oneForEach(keyOf: (name: string) => string): readonly [string, string, string] {
  const found: string[] = []
  for (let index = 0; found.filter(Boolean).length < 3; index++) {
    const name = `/items/${index}`
    found[Math.floor((slotOf(keyOf(name)) * 3) / 16_384)] ??= name
  }
  const [first = '', second = '', third = ''] = found
  return [first, second, third]
}

test('a master dies: what it had fails by its deadline, the rest goes on, and its replica is found without a hand', async () => {
  await using cluster = await redisCluster({ replicas: true })
  const prefix = randomUUID()
  const open = (node: string) => redisBackend({ url: cluster.url, prefix, node, deadline: DEADLINE, report: () => {} })
  const [one, other] = [open('one'), open('other')]
  await using _ = { [Symbol.asyncDispose]: async () => void (await Promise.all([one.close(), other.close()])) }
  const keys = redisKeys(prefix)
  const [first, second] = oneForEach(keys.value)
  const heard: Record<string, string[]> = { [first]: [], [second]: [] }
  for (const topic of [first, second]) {
    other.bus.subscribe(topic, ({ json }) => heard[topic]?.push(String(json)))
    await expect.poll(() => publish(one, topic, 'before').then(() => heard[topic]?.at(-1))).toBe('"before"')
  }
  const [line] = oneForEach(keys.log)
  const lines: LogLine[] = []
  other.logs.subscribe(line, (one) => lines.push(one))
  const appended = await one.logs.append(line, Buffer.from('1'), { events: 10, age: 60_000 })
  const limits = [{ limit: 3, window: 300, by: 'account' as const }]
  const plan = { limits, keys: 1, pastUsage: 'none' as const, timeout: 200 }
  const [upstream] = oneForEach(keys.meter)
  const meter = one.meters.open(upstream, plan)
  const want = { priority: 'interactive', cost: 1 } as const
  const [grant] = (await meter.acquire([want])).granted
  if (grant !== undefined) meter.release(grant)
  // A replica that has all of it is what takes over.
  await replicated(cluster.masters[0] ?? never(), cluster.replicas[0] ?? never())

  await cluster.masters[0]?.kill()
  // Who comes now has what the others have.
  const newcomer = open('newcomer')
  await expect
    .poll(() =>
      Promise.resolve(newcomer.values.read(second)).then(
        (read) => String(read?.json),
        () => '',
      ),
    )
    .toBe('"before"')
  await newcomer.close()
  const began = performance.now()
  let longest = 0
  let last = 'before'
  let failures = 0
  for (let value = 0; ; value++) {
    const at = performance.now()
    const lost = await publish(one, first, value).then(
      () => {
        last = String(value)
        return false
      },
      (error) => {
        expect(error.code).toBe('backend_unavailable')
        return true
      },
    )
    longest = Math.max(longest, performance.now() - at)
    // What other masters have is not held up.
    await publish(one, second, value)
    if (!lost) break
    failures += 1
    expect(performance.now() - began).toBeLessThan(15_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(failures).toBeGreaterThan(0)
  // Three commands at most: the lease, the value, and giving back.
  expect(longest).toBeLessThan(DEADLINE + LATE)
  await expect.poll(() => heard[first]?.at(-1), { timeout: 10_000 }).toBe(last)
  await expect.poll(async () => (await other.values.read(first))?.json?.toString()).toBe(last)
  await expect
    .poll(() => one.logs.append(line, Buffer.from('2'), { events: 10, age: 60_000 }).catch(() => undefined))
    .toEqual({ epoch: appended.epoch, sequence: 2 })
  await expect.poll(() => lines.at(-1)?.offset).toBe(2)
  await expect.poll(async () => (await meter.acquire([want])).granted.length, { timeout: 8000, interval: 20 }).toBe(1)

  // It comes back as the replica of the one that took its place, and a node that was there all the time goes on.
  await cluster.masters[0]?.start()
  await publish(one, first, 'after')
  await expect.poll(() => heard[first]?.at(-1)).toBe('"after"')
}, 60_000)

test('a slot that moves is followed: while it moves, and by those who listen', async () => {
  await using cluster = await redisCluster()
  const prefix = randomUUID()
  const backend = redisBackend({
    url: cluster.masters[2]?.url ?? '',
    prefix,
    node: 'one',
    deadline: 5000,
    report: () => {},
  })
  await using _ = { [Symbol.asyncDispose]: () => backend.close() }
  const keys = redisKeys(prefix)
  const [topic] = oneForEach(keys.value)
  const slot = String(slotOf(keys.value(topic)))
  const [from, to] = [cluster.masters[0] ?? never(), cluster.masters[1] ?? never()]
  const heard: string[] = []
  backend.bus.subscribe(topic, ({ json }) => heard.push(String(json)))
  const before = await publish(backend, topic, 1)
  await expect.poll(() => heard.at(-1)).toBe('1')
  const [source, target] = [await order(from, 'CLUSTER', 'MYID'), await order(to, 'CLUSTER', 'MYID')]
  await order(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source)
  await order(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target)
  const here = [keys.value(topic), keys.fence(topic)]
  await order(from, 'MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...here)
  // The keys are there already and the slot is not: who asks for one is sent on for once. A script of several keys is refused
  // as long as some may be here and some there (TRYAGAIN), which blames no server for anything.
  expect((await backend.values.read(topic))?.json?.toString()).toBe('1')
  for (let times = 0; times < 10; times++) {
    await expect(publish(backend, topic, 2)).rejects.toThrow(/TRYAGAIN/)
  }
  for (const server of [to, from]) await order(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', target)
  expect((await publish(backend, topic, 3))?.version).toEqual({ epoch: before?.version.epoch, sequence: 2 })
  await expect.poll(() => heard.at(-1)).toBe('3')
  await publish(backend, topic, 4)
  await expect.poll(() => heard.at(-1)).toBe('4')
}, 30_000)

test('an address that leads to the replica when that is promoted: all ports recover, and nothing is told to who was the master', async () => {
  await using master = await redisServer(['--repl-diskless-sync-delay', '0'])
  await using replica = await redisServer(['--replicaof', '127.0.0.1', String(master.port)])
  await expect.poll(() => order(replica, 'INFO', 'replication')).toContain('master_link_status:up')
  await using road = await relay(master.url)
  const open = (node: string) =>
    redisBackend({ url: road.url, prefix: 'weir', node, deadline: DEADLINE, report: () => {} })
  const [one, other] = [open('one'), open('other')]
  await using _ = { [Symbol.asyncDispose]: async () => void (await Promise.all([one.close(), other.close()])) }
  const topic = '/prices/SOL'
  const heard: string[] = []
  other.bus.subscribe(topic, ({ json }) => heard.push(String(json)))
  await expect.poll(() => publish(one, topic, 'before').then(() => heard.at(-1))).toBe('"before"')
  const before = await one.values.read(topic)
  const limits = [{ limit: 3, window: 300, by: 'account' as const }]
  const meter = one.meters.open('upstream', { limits, keys: 1, pastUsage: 'none', timeout: 200 })
  const want = { priority: 'interactive', cost: 1 } as const
  expect((await meter.acquire([want])).granted).toHaveLength(1)
  await replicated(master, replica)

  // The other way round: the connections stay, to one who may not write any more.
  await order(replica, 'REPLICAOF', 'NO', 'ONE')
  await order(master, 'REPLICAOF', '127.0.0.1', String(replica.port))
  await expect(publish(one, topic, 'refused')).rejects.toThrow(/READONLY/)
  road.to = replica.url
  for (const [node, sequence] of [
    [one, 2],
    [other, 3],
  ] as const) {
    const recovered = () =>
      publish(node, topic, sequence).then(
        (stored) => stored?.version,
        () => undefined,
      )
    await expect.poll(recovered, { timeout: 8000 }).toEqual({ epoch: before?.version.epoch, sequence })
  }
  // Also when the two do not know each other, so that a word reaches only those who listen to the new one.
  await order(master, 'REPLICAOF', 'NO', 'ONE')
  await expect
    .poll(() => publish(one, topic, Math.random()).then((stored) => heard.at(-1) === stored?.json?.toString()), {
      timeout: 8000,
    })
    .toBe(true)
  await expect.poll(async () => (await meter.acquire([want])).granted.length, { timeout: 8000, interval: 20 }).toBe(1)
  await expect
    .poll(() =>
      one.logs.append('log', Buffer.from('1'), { events: 10, age: 60_000 }).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true)
}, 40_000)

test('a replica that takes over without having heard of the last grants gives nobody their places', async () => {
  await using master = await redisServer(['--repl-diskless-sync-delay', '0'])
  await using behind = await relay(master.url)
  await using replica = await redisServer(['--replicaof', '127.0.0.1', new URL(behind.url).port])
  await expect.poll(() => order(replica, 'INFO', 'replication')).toContain('master_link_status:up')
  await using road = await relay(master.url)
  const open = (node: string) =>
    redisBackend({ url: road.url, prefix: 'weir', node, deadline: DEADLINE, report: () => {} })
  const [one, other] = [open('one'), open('other')]
  await using _ = { [Symbol.asyncDispose]: async () => void (await Promise.all([one.close(), other.close()])) }
  const limits = [{ limit: 4, window: 5000, by: 'account' as const }]
  const plan = { limits, keys: 1, pastUsage: 'none' as const, timeout: 10_000 }
  const want = { priority: 'interactive', cost: 1 } as const
  const meters = [one, other].map(({ meters }) => meters.open('upstream', plan))
  // Both are known to both, and to the replica.
  for (const meter of meters) {
    await expect.poll(async () => (await meter.acquire([want])).granted.length, { timeout: 3000 }).toBe(1)
  }
  await replicated(master, replica)
  behind.answers = false
  expect((await meters[0]?.acquire([want, want]))?.granted).toHaveLength(2)
  await master.kill()
  await order(replica, 'REPLICAOF', 'NO', 'ONE')
  road.to = replica.url
  let granted = 0
  const until = performance.now() + 2000
  while (performance.now() < until) {
    granted += (await meters[1]?.acquire([want, want]))?.granted.length ?? 0
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(granted).toBe(0)
  expect(await other.leases.acquire('/a', 'one', 1000, 0)).toMatchObject({ held: true })
}, 40_000)

/** The replica has all that the master has now. `WAIT` would wait for what its own connection wrote. */
async function replicated(master: RedisServer, replica: RedisServer): Promise<void> {
  const offset = async (server: RedisServer, which: string) =>
    Number(new RegExp(`${which}_repl_offset:(\\d+)`).exec(await order(server, 'INFO', 'replication'))?.[1])
  const written = await offset(master, 'master')
  await expect.poll(() => offset(replica, 'slave')).toBeGreaterThanOrEqual(written)
}

function never(): never {
  throw new Error('expected a server')
}

test('a Redis Cluster that is entered by the wrong server is no failure', async () => {
  await using cluster = await redisCluster()
  const prefix = randomUUID()
  const failures: unknown[] = []
  const report = (error: unknown) => void failures.push(error)
  const backend = redisBackend({ url: cluster.masters[2]?.url ?? '', prefix, node: 'one', deadline: 5000, report })
  await using _ = { [Symbol.asyncDispose]: () => backend.close() }
  for (const topic of oneForEach(redisKeys(prefix).value)) {
    const heard: string[] = []
    backend.bus.subscribe(topic, ({ json }) => heard.push(String(json)))
    await publish(backend, topic, 1)
    for (let said = 2; heard.length === 0; said++) await publish(backend, topic, said)
  }
  expect(failures).toEqual([])
}, 60_000)
