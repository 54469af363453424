import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import type { Grant, Meter, MeterPlan } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import type { Priority } from '../src/events.ts'
import { relay } from './relay.ts'

const PLAN: MeterPlan = {
  ...{ limits: [{ limit: 8, window: 400, by: 'account' }], keys: 1, pastUsage: 'none', timeout: 300 },
}

/** A server, and nodes on it, all in this process. */
async function cluster(deadline = 1000) {
  const server = await redisServer()
  const prefix = randomUUID()
  const nodes: ReturnType<typeof redisBackend>[] = []
  const admin = createClient({ url: server.url })
  admin.on('error', () => {})
  await admin.connect()
  return {
    ...{ server, admin },
    meterKeys: redisKeys(prefix),
    node(plan: MeterPlan = PLAN, clock: Clock = systemClock, url = server.url, slack?: number): Meter {
      const node = `node-${nodes.length}`
      const given = { url, prefix, node, clock, deadline, report: () => {} }
      const parts = redisBackend(slack === undefined ? given : { ...given, slack })
      nodes.push(parts)
      return parts.meters.open('upstream', plan)
    },
    /** The node that was made as this one, from 0, says goodbye. */
    leave: (index: number) => nodes[index]?.close(),
    async [Symbol.asyncDispose]() {
      admin.destroy()
      await Promise.all(nodes.map((parts) => parts.close()))
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Milliseconds for a reply of Redis in tests without an outage: a busy machine may hold one up. */
const PATIENT = 5000

async function take(meter: Meter, count: number, priority: Priority = 'interactive'): Promise<readonly Grant[]> {
  return (await meter.acquire(Array.from({ length: count }, () => ({ priority, cost: 1 })))).granted
}

function keysOfSome(grants: readonly Grant[]): readonly number[] {
  return grants.map(({ key }) => key)
}

/** The clock of a process that can die: nothing that it planned happens any more. */
function mortal(): Clock & { dead: boolean } {
  const clock = {
    ...systemClock,
    dead: false,
    after: (delay: number, task: () => void) => systemClock.after(delay, () => (clock.dead ? undefined : task())),
  }
  return clock
}

/** All have heard how many they are, and heard it confirmed. */
async function join(...meters: readonly Meter[]): Promise<void> {
  for (const meter of [...meters, ...meters, ...meters]) {
    await expect.poll(async () => (await meter.acquire([])).wait, { timeout: 5000 }).toBeUndefined()
  }
}

test('nodes share one limit, and what one gives back another may take', async () => {
  await using all = await cluster(PATIENT)
  const [a, b] = [all.node(), all.node()]
  await join(a, b)
  const first = await take(a, 5)
  expect(first).toHaveLength(5)
  expect(await take(b, 9)).toHaveLength(3)
  for (const grant of first) a.cancel(grant)
  await expect.poll(async () => (await take(b, 9)).length, { timeout: 3000 }).toBe(5)
})

test('a pause that one node was asked for holds for all, and an exhausted key is exhausted for all', async () => {
  await using all = await cluster()
  const [a, b] = [all.node(), all.node()]
  await join(a, b)
  a.pause(700, undefined)
  const closed = performance.now()
  await sleep(150)
  expect(await take(b, 1)).toHaveLength(0)
  await expect.poll(async () => (await take(b, 1)).length, { timeout: 3000, interval: 20 }).toBe(1)
  expect(performance.now() - closed).toBeGreaterThan(600)
  a.exhaustKey(0)
  await expect
    .poll(async () => (await b.acquire([{ priority: 'live', cost: 1 }])).never, { timeout: 3000 })
    .toBe('exhausted')
})

test('without limits too: pauses and exhausted keys are shared, and no call waits for Redis', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [], keys: 2 }
  const [a, b] = [all.node(plan), all.node(plan)]
  const keysOf = async (meter: Meter) => new Set((await take(meter, 4)).map(({ key }) => key))
  expect(b.acquire([])).not.toBeInstanceOf(Promise)
  a.pause(60_000, 0)
  await expect.poll(() => keysOf(b), { timeout: 3000 }).toEqual(new Set([1]))
  a.pause(800, undefined)
  await expect.poll(() => keysOf(b), { timeout: 3000, interval: 10 }).toEqual(new Set())
  await expect.poll(() => keysOf(b), { timeout: 3000, interval: 10 }).toEqual(new Set([1]))
  // Also one who comes later.
  const late = all.node(plan)
  await expect.poll(() => keysOf(late), { timeout: 3000 }).toEqual(new Set([1]))
  a.exhaustKey(1)
  a.exhaustKey(0)
  const want = { priority: 'live', cost: 1 } as const
  await expect.poll(async () => (await b.acquire([want])).never, { timeout: 3000 }).toBe('exhausted')
})

test('a pause outlives a Redis that loses it, also for a node that did not get it from the upstream', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [{ limit: 8, window: 400, by: 'key' }], keys: 2 }
  const [a, b] = [all.node(plan), all.node(plan)]
  await join(a, b)
  a.pause(60_000, 0)
  await expect.poll(async () => keysOfSome(await take(a, 1)), { timeout: 3000 }).toEqual([1])
  await all.leave(0)
  await join(b)
  await all.admin.flushAll()
  const keys: number[] = []
  await expect
    .poll(async () => keys.push(...keysOfSome(await take(b, 16))), { timeout: 8000, interval: 20 })
    .toBeGreaterThan(6)
  expect(new Set(keys)).toEqual(new Set([1]))
}, 20_000)

test('a refusal shrinks the limit of all nodes, once', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [{ limit: 100, window: 5000, by: 'account' }] }
  const [a, b] = [all.node(plan), all.node(plan)]
  await join(a, b)
  a.backOff()
  b.backOff()
  await take(a, 0)
  await take(b, 0)
  const granted = [...(await take(a, 64)), ...(await take(b, 64))]
  expect(granted.length).toBeGreaterThanOrEqual(70)
  expect(granted.length).toBeLessThan(75)
})

test('a higher class that waits on another node goes first, and the lower one still gets its turn', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [{ limit: 4, window: 200, by: 'account' }] }
  const started = { interactive: 0, background: 0 }
  const until = performance.now() + 4000
  async function run(meter: Meter, priority: 'interactive' | 'background'): Promise<void> {
    while (performance.now() < until) {
      const { granted, wait } = await meter.acquire([1, 2, 3].map((cost) => ({ priority, cost: Math.min(1, cost) })))
      for (const grant of granted) {
        started[priority] += 1
        systemClock.after(Math.max(0, grant.notBefore - performance.now()), () => meter.release(grant))
      }
      if (granted.length === 0) await sleep(Math.max(1, wait ?? 10))
    }
  }
  await Promise.all([run(all.node(plan), 'interactive'), run(all.node(plan), 'background')])
  expect(started.background).toBeGreaterThan(1)
  expect(started.interactive).toBeGreaterThan(started.background * 3)
})

test('Redis away: after the old grants have died each node has its share, and back again the budget holds', async () => {
  await using all = await cluster()
  const [a, b] = [all.node(), all.node()]
  await join(a, b)
  await all.server.kill()
  const killed = performance.now()
  const mine: Grant[] = []
  expect(await take(a, 8)).toHaveLength(0)
  await expect
    .poll(async () => mine.push(...(await take(a, 8 - mine.length))), { timeout: 12_000, interval: 100 })
    .toBeGreaterThan(0)
  // Presence, a window and the longest call.
  expect(performance.now() - killed).toBeGreaterThan(3000)
  expect(mine).toHaveLength(4)
  // It may have heard of Redis a little later.
  await expect.poll(async () => (await take(b, 2)).length, { timeout: 2000 }).toBe(2)
  expect(await take(a, 8)).toHaveLength(0)

  await all.server.start()
  // What was taken alone is still under way, so two places of the eight are left, once both are back.
  const more: Grant[] = []
  await expect
    .poll(async () => more.push(...(await take(a, 8)), ...(await take(b, 8))), { timeout: 12_000, interval: 50 })
    .toBe(2)
  await sleep(1000)
  expect([...(await take(a, 8)), ...(await take(b, 8))]).toHaveLength(0)
}, 40_000)

test('a node that comes during an outage of Redis takes no other for dead: those that spend their share may return a little later', async () => {
  await using all = await cluster()
  await using road = await relay(all.server.url)
  const a = all.node(PLAN, systemClock, road.url)
  await join(a)
  all.server.freeze()
  const b = all.node()
  // The first was the only one, so its share is the whole.
  const mine: Grant[] = []
  await expect
    .poll(async () => mine.push(...(await take(a, 8)), ...(await take(b, 8))), { timeout: 12_000, interval: 100 })
    .toBe(8)
  road.delay = 2000
  all.server.thaw()
  const thawed = performance.now()
  while (performance.now() - thawed < 1500) {
    expect(await take(b, 1)).toHaveLength(0)
    await sleep(50)
  }
  road.delay = 0
  for (const grant of mine) a.release(grant, 1)
  await expect.poll(async () => (await take(b, 1)).length, { timeout: 10_000 }).toBe(1)
}, 40_000)

test('a node that never reached Redis starts nothing', async () => {
  await using all = await cluster()
  await all.server.kill()
  const meter = all.node()
  expect(await take(meter, 1)).toHaveLength(0)
  await sleep(500)
  expect(await take(meter, 1)).toHaveLength(0)
})

test('a node that says goodbye leaves its share to the others', async () => {
  await using all = await cluster()
  const [a, b, c] = [all.node(), all.node(), all.node()]
  await join(a, b, c)
  await all.leave(2)
  const whole = await take(a, 9)
  expect(whole).toHaveLength(8)
})

test('a new node starts as soon as the others know of it, even if they want nothing', async () => {
  await using all = await cluster(PATIENT)
  // They let themselves be heard once a second.
  const plan: MeterPlan = { ...PLAN, timeout: 10_000 }
  const [first] = await take(all.node(plan), 1)
  expect(first).toBeDefined()
  for (let count = 1; count < 4; count++) {
    const comes = all.node(plan)
    const began = performance.now()
    await expect.poll(async () => (await take(comes, 1)).length, { timeout: 3000, interval: 10 }).toBe(1)
    expect(performance.now() - began).toBeLessThan(400)
    await sleep(500)
  }
})

test('a node that vanishes is left its share, until another comes in its place', async () => {
  await using all = await cluster()
  const dying = mortal()
  const [a, silent] = [all.node(), all.node(PLAN, dying)]
  await join(a, silent)
  dying.dead = true
  await sleep(3500)
  const left = await take(a, 9)
  expect(left).toHaveLength(4)
  const instead = all.node()
  await join(instead)
  expect(await take(a, 9)).toHaveLength(4)
})

/** Moves what Redis last received of the nodes that many milliseconds into the past. */
async function pass(all: Awaited<ReturnType<typeof cluster>>, milliseconds: number): Promise<void> {
  const nodes = all.meterKeys.nodes('upstream')
  for (const [name, record] of Object.entries(await all.admin.hGetAll(nodes))) {
    const node = JSON.parse(record)
    await all.admin.hSet(
      nodes,
      name,
      JSON.stringify({ ...node, lastSeen: node.lastSeen - milliseconds, newcomerSince: undefined }),
    )
  }
}

test('a node that vanishes is left its share for ten minutes and its last calls, and then nothing', async () => {
  await using all = await cluster()
  const dying = mortal()
  const [a, gone] = [all.node(), all.node(PLAN, dying)]
  await join(a, gone)
  dying.dead = true
  await pass(all, 599_000)
  expect(await take(a, 9)).toHaveLength(4)
  await pass(all, 2000)
  expect(await take(a, 9)).toHaveLength(4)
})

test('with a window of an hour no node spends alone, so a node that vanishes is left nothing', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [...PLAN.limits, { limit: 1000, window: 3_600_000, by: 'account' }] }
  // A machine that stands still looks like a clock that jumped, after which the window of an hour is probed anew.
  const node = () => all.node(plan, systemClock, all.server.url, 600)
  const [a, b] = [node(), node()]
  await join(a, b)
  await pass(all, 10_000)
  expect(await take(a, 9)).toHaveLength(8)
})

test('a node that is cut off stops spending its share before the others take it', async () => {
  await using all = await cluster()
  let later = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + later }
  const [a, b] = [all.node(PLAN, clock), all.node(PLAN, clock)]
  await join(a, b)
  await all.server.kill()
  await take(a, 1)
  later = 5000
  const alone: Grant[] = []
  await expect.poll(async () => alone.push(...(await take(a, 8))), { timeout: 5000 }).toBe(4)
  for (const grant of alone) a.release(grant)
  later = 590_000
  const last = await take(a, 8)
  expect(last).toHaveLength(4)
  for (const grant of last) a.release(grant)
  later = 600_000
  expect(await take(a, 8)).toHaveLength(0)
  later = 6_000_000
  expect(await take(a, 8)).toHaveLength(0)
}, 20_000)

test('a node whose requests arrive but whose replies are lost wastes nothing, and takes no more than its share', async () => {
  await using all = await cluster()
  await using road = await relay(all.server.url)
  const [a, deaf] = [all.node(), all.node(PLAN, systemClock, road.url)]
  await join(a, deaf)
  road.answers = false
  const unheard = deaf.acquire([1, 2, 3].map(() => ({ priority: 'interactive', cost: 1 }) as const))
  expect((await unheard).granted).toHaveLength(0)
  // Whatever it goes on asking, it is absent: the others leave it its share, and it spends no more.
  const own: Grant[] = []
  const others: Grant[] = []
  await expect
    .poll(
      async () => {
        others.push(...(await take(a, 8 - others.length)))
        own.push(...(await take(deaf, 8 - own.length)))
        for (const grant of others.length > 4 ? others.splice(0) : []) a.release(grant)
        return own.length
      },
      { timeout: 15_000, interval: 50 },
    )
    .toBe(4)
  expect(others.length).toBeLessThanOrEqual(4)
  road.answers = true
  for (const grant of others.splice(0)) a.release(grant)
  await expect.poll(async () => others.push(...(await take(a, 8))), { timeout: 10_000 }).toBe(4)
}, 40_000)

test.each([
  ['may not write', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ['has no memory left', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
])('a Redis that %s grants nothing, forgets nothing, and goes on', async (_, order, back) => {
  await using all = await cluster()
  const meter = all.node()
  const granted = await take(meter, 3)
  expect(granted).toHaveLength(3)
  await all.admin.sendCommand(order)
  expect(await take(meter, 8)).toHaveLength(0)
  await all.admin.sendCommand(back)
  const more: Grant[] = []
  await expect.poll(async () => more.push(...(await take(meter, 8))), { timeout: 5000 }).toBe(5)
  await all.admin.scriptFlush()
  meter.release(granted[0] as Grant)
  await expect.poll(async () => (await take(meter, 8)).length, { timeout: 5000, interval: 20 }).toBe(1)
})

const SECOND: MeterPlan = { ...PLAN, limits: [{ limit: 8, window: 1000, by: 'account' }], timeout: 1000 }

test('a Redis that lost everything gets reports of what still counts, and goes on at once', async () => {
  await using all = await cluster()
  const [a, b] = [all.node(SECOND), all.node(SECOND)]
  await join(a, b)
  const [first, second, third] = await take(a, 4)
  await join(a)
  a.release(first as Grant)
  b.release((await take(b, 1))[0] as Grant)
  const settled = performance.now()
  await join(a, b)
  await all.admin.flushAll()
  // It may have arrived a moment ago, and Redis may not know of it yet.
  a.release(second as Grant)
  a.cancel(third as Grant)
  const granted: Grant[] = []
  await take(a, 0)
  await expect
    .poll(async () => granted.push(...(await take(b, 8))), { timeout: 5000, interval: 10 })
    .toBeGreaterThanOrEqual(4)
  if (performance.now() - settled < 900) expect(granted).toHaveLength(4)
  expect(performance.now() - settled).toBeLessThan(1000)
  await expect.poll(async () => granted.push(...(await take(b, 8))), { timeout: 5000, interval: 10 }).toBe(7)
  expect(performance.now() - settled).toBeGreaterThan(1000 - 60)
}, 20_000)

test.each<[string, (all: Awaited<ReturnType<typeof cluster>>) => unknown]>([
  ['left before it', (all) => all.leave(1)],
  ['leaves without having told', (all) => all.admin.flushAll().then(() => all.leave(1))],
])(
  'after a loss Redis is shut for a window if a node does not report its past: it %s',
  async (_, happens) => {
    await using all = await cluster()
    const [a, b] = [all.node(SECOND), all.node(SECOND)]
    await join(a, b)
    for (const grant of await take(b, 8)) b.release(grant)
    await join(b, a)
    await happens(all)
    await take(a, 0)
    const lost = performance.now()
    await all.admin.flushAll()
    await expect.poll(async () => (await take(a, 8)).length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0)
    expect(performance.now() - lost).toBeGreaterThan(1000 + 250 - 60)
  },
  30_000,
)

test('a node gets nothing before the others know of it, and the report of one that does not know it is not complete', async () => {
  await using all = await cluster()
  const [sleeping, dying] = [mortal(), mortal()]
  const a = all.node(SECOND, sleeping)
  await join(a)
  sleeping.dead = true
  const came = all.node(SECOND, dying)
  const began = performance.now()
  const granted: Grant[] = []
  await expect
    .poll(async () => granted.push(...(await take(came, 8))), { timeout: 5000, interval: 20 })
    .toBeGreaterThan(0)
  expect(performance.now() - began).toBeGreaterThan(1900)
  for (const grant of granted) came.release(grant)
  dying.dead = true
  await all.admin.flushAll()
  const lost = performance.now()
  sleeping.dead = false
  await expect.poll(async () => (await take(a, 8)).length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0)
  expect(performance.now() - lost).toBeGreaterThan(1000 + 250 - 60)
}, 40_000)

test('a Redis that lost everything is shut for longer if not all report: calls of the missing may be under way', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, timeout: 2500 }
  const dying = mortal()
  const [a, gone] = [all.node(plan), all.node(plan, dying)]
  await join(a, gone)
  dying.dead = true
  await all.admin.flushAll()
  const flushed = performance.now()
  await expect.poll(async () => (await take(a, 8)).length, { timeout: 8000, interval: 20 }).toBeGreaterThan(0)
  // The window, and slack and length of a call.
  expect(performance.now() - flushed).toBeGreaterThan(400 + 100 + 2500 - 10)
}, 20_000)

test("a node's wall clock that jumps changes nothing", async () => {
  await using all = await cluster()
  let jump = 0
  const meter = all.node(PLAN, { ...systemClock, now: () => Date.now() + jump })
  // Connects: a grant that is told so late is not used.
  await take(meter, 0)
  const granted = await take(meter, 8)
  expect(granted).toHaveLength(8)
  for (const next of [10_000, -10_000]) {
    jump = next
    expect(await take(meter, 8)).toHaveLength(0)
  }
  for (const grant of granted) meter.release(grant)
  jump = 10_000
  expect(await take(meter, 8)).toHaveLength(0)
  await expect.poll(() => take(meter, 8).then(({ length }) => length), { timeout: 3000, interval: 20 }).toBe(8)
})

test('lanes that come and go leave nothing in Redis', async () => {
  await using all = await cluster()
  const meter = all.node({ ...PLAN, limits: [{ limit: 1, window: 100, by: 'account', lane: '*' }], pace: true })
  const key = all.meterKeys.meter('upstream')
  for (let round = 0; round < 5; round++) {
    const wants = Array.from({ length: 60 }, (_, i) => ({ priority: 'live', cost: 1, lane: `${round}/${i}` }) as const)
    // What a busy machine hears too late is given back, and asked for again.
    let granted: readonly Grant[] = []
    const taken = async () => {
      granted = (await meter.acquire(wants)).granted
      return granted.length
    }
    await expect.poll(taken, { timeout: 5000, interval: 20 }).toBe(60)
    for (const grant of granted) meter.release(grant)
  }
  const left = async () => {
    await meter.acquire([])
    return [
      (await all.admin.keys(`${key}:*`)).length,
      (await all.admin.hKeys(key)).filter((field) => /^[a-z]+:/.test(field) && !field.startsWith('k:')),
    ]
  }
  await expect.poll(left, { timeout: 5000 }).toEqual([0, []])
})

test.each([-10_000, 10_000])("a jump of Redis's clock by %i ms shuts the meter for a window", async (jump) => {
  await using all = await cluster()
  let shift = 0
  // To a node it is the same whether Redis's clock jumps or its own: the one moved against the other.
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + shift }
  const meter = all.node(PLAN, clock)
  await expect.poll(async () => (await take(meter, 1)).length, { timeout: 5000 }).toBe(1)
  shift = -jump
  const jumped = performance.now()
  expect(await take(meter, 1)).toHaveLength(0)
  await expect.poll(async () => (await take(meter, 1)).length, { timeout: 5000, interval: 20 }).toBe(1)
  // The window and the last calls of the dead; grants are told a little before their moment.
  expect(performance.now() - jumped).toBeGreaterThan(400 + 250 - 60)
})

test('a limit of many tokens costs Redis no more than one of few', async () => {
  await using all = await cluster()
  const plan: MeterPlan = { ...PLAN, limits: [{ limit: 180_000, window: 60_000, by: 'account' }] }
  const meter = all.node(plan)
  const began = performance.now()
  for (let i = 0; i < 90; i++) await meter.acquire([{ priority: 'live', cost: 1999 }])
  expect(performance.now() - began).toBeLessThan(2000)
  expect((await meter.acquire([{ priority: 'live', cost: 1999 }])).granted).toHaveLength(0)
})
