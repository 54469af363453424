import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import { expectWithin, type Seen } from '../contract/meters-in-traffic.ts'
import type { Grant, Meter, MeterLimit } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { type Clock, systemClock, type Timer } from '../src/clock.ts'
import { relay } from './relay.ts'

/** The longest that a call takes, and for how long after a process died its last calls arrive. Milliseconds. */
const TIMEOUT = 300
const LAST = 200
const LASTS = 5000

/** What befalls the nodes, and when. */
type Event =
  | { readonly what: 'loss' | 'evicted meter' | 'evicted nodes'; readonly at: number }
  | { readonly what: 'frozen' | 'deaf'; readonly at: number; readonly node: number; readonly for: number }
  | { readonly what: 'killed' | 'left'; readonly at: number; readonly node: number; readonly again: number }

const at = fc.integer({ min: 300, max: 3000 })
const index = fc.integer({ min: 0, max: 2 })
const lost = fc.oneof(
  { weight: 6, arbitrary: fc.constant('loss' as const) },
  fc.constantFrom('evicted meter' as const, 'evicted nodes' as const),
)

/** Things come together: around a loss, more often than not. */
const events: fc.Arbitrary<readonly Event[]> = fc
  .record({
    at,
    losses: fc.array(fc.record({ what: lost, at: fc.integer({ min: 0, max: 300 }) }), { minLength: 1, maxLength: 3 }),
    others: fc.array(
      fc.oneof(
        fc.record({
          what: fc.constantFrom('frozen' as const, 'deaf' as const),
          at: fc.integer({ min: -200, max: 300 }),
          ...{ node: index, for: fc.integer({ min: 50, max: 2000 }) },
        }),
        fc.record({
          what: fc.constantFrom('killed' as const, 'left' as const),
          at: fc.integer({ min: -200, max: 300 }),
          ...{ node: index, again: fc.integer({ min: 0, max: 600 }) },
        }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .map(({ at, losses, others }) =>
    [...losses, ...others].map((event) => ({ ...event, at: at + event.at })).sort((a, b) => a.at - b.at),
  )

interface Scenario {
  readonly limits: readonly MeterLimit[]
  readonly keys: number
  readonly events: readonly Event[]
  readonly travels: readonly number[]
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  limits: fc.array(
    fc.record({
      limit: fc.integer({ min: 2, max: 8 }),
      window: fc.integer({ min: 400, max: 1000 }),
      by: fc.constantFrom('account' as const, 'key' as const),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  keys: fc.integer({ min: 1, max: 2 }),
  events,
  travels: fc.array(
    fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 60 }) }, fc.integer({ min: 60, max: TIMEOUT / 2 })),
    { minLength: 50, maxLength: 50 },
  ),
})

/** The clock of a process that can be stopped, and die: what it planned happens when it goes on, or never. */
class Life implements Clock {
  frozenUntil = 0
  diedAt = Number.POSITIVE_INFINITY
  readonly now = systemClock.now
  readonly monotonic = systemClock.monotonic
  readonly soon = systemClock.soon

  after(delay: number, task: () => void): Timer {
    let timer = systemClock.after(delay, () => {
      timer = systemClock.after(Math.max(0, this.frozenUntil - performance.now()), () => {
        if (this.lives()) task()
      })
    })
    return { stop: () => timer.stop() }
  }

  lives(): boolean {
    return performance.now() < this.diedAt
  }

  /** The process does nothing for so long, and then not before it goes on. */
  async sleep(delay: number): Promise<void> {
    await sleep(delay)
    while (this.frozenUntil > performance.now()) await sleep(this.frozenUntil - performance.now())
  }
}

/** A node that always wants more than it may have, until it is over. */
async function node(url: string, prefix: string, { limits, keys, travels }: Scenario, seen: Seen[], over: AbortSignal) {
  const road = await relay(url)
  const life = new Life()
  const parts = redisBackend({
    ...{ url: road.url, prefix, node: randomUUID(), clock: life, deadline: 1000, report: () => {} },
  })
  const meter = parts.meters.open('upstream', { limits, keys, pastUsage: 'unknown', timeout: TIMEOUT })
  let wanted = true
  const isOver = () => !wanted || !life.lives() || over.aborted

  async function call(meter: Meter, grant: Grant): Promise<void> {
    await life.sleep(Math.max(0, grant.notBefore - performance.now()))
    if (isOver() || performance.now() > grant.expiresAt) return life.lives() ? meter.cancel(grant) : undefined
    const startedAt = performance.now()
    const [out = 0, back = 0] = [travels[seen.length % travels.length], travels[(seen.length * 7) % travels.length]]
    await sleep(out)
    // What left is on its way, however busy this process is meanwhile: a call never takes longer than its timeout.
    const arrivedAt = startedAt + out
    if (arrivedAt < life.diedAt + LAST) seen.push({ key: grant.key, startedAt, arrivedAt, settledAt: arrivedAt })
    await life.sleep(back)
    if (life.lives()) meter.release(grant)
  }

  async function run(): Promise<void> {
    while (!isOver()) {
      const want = { priority: 'interactive', cost: 1 } as const
      const { granted, wait = 20 } = await meter.acquire([want, want, want])
      for (const grant of granted) void call(meter, grant)
      await life.sleep(Math.min(wait, 30))
    }
  }
  void run()

  return {
    ...{ life, road },
    leave: async () => {
      wanted = false
      // As a gateway does it: what is under way is waited for.
      await sleep(TIMEOUT + 50)
      await parts.close()
    },
    async [Symbol.asyncDispose]() {
      life.diedAt = 0
      await Promise.race([parts.close(), sleep(100)])
      await road[Symbol.asyncDispose]()
    },
  }
}

async function run(
  url: string,
  forget: (pattern: string) => Promise<void>,
  scenario: Scenario,
): Promise<readonly Seen[]> {
  const prefix = randomUUID()
  const tags = redisKeys(prefix)
  const [meterKey, nodesKey] = [tags.meter('upstream'), tags.nodes('upstream')]
  const seen: Seen[] = []
  const over = new AbortController()
  const start = () => node(url, prefix, scenario, seen, over.signal)
  await using all = new AsyncDisposableStack()
  const nodes = await Promise.all([1, 2, 3].map(async () => all.use(await start())))
  const come = async (delay: number, index: number) => {
    await sleep(delay)
    nodes[index] = all.use(await start())
  }
  // However long a busy machine takes to begin.
  await expect.poll(() => seen.length, { timeout: 20_000, interval: 10 }).toBeGreaterThan(0)
  const began = performance.now()
  const later: Promise<unknown>[] = []
  for (const event of scenario.events) {
    await sleep(Math.max(0, began + event.at - performance.now()))
    if (!('node' in event)) {
      await forget({ loss: `{${prefix}:*`, 'evicted meter': meterKey, 'evicted nodes': nodesKey }[event.what])
      continue
    }
    const one = nodes[event.node]
    if (one === undefined) continue
    if (event.what === 'frozen') one.life.frozenUntil = performance.now() + event.for
    if (event.what === 'deaf') {
      one.road.answers = false
      later.push(sleep(event.for).then(() => (one.road.answers = true)))
    }
    if (event.what === 'killed') one.life.diedAt = performance.now()
    if (event.what === 'left') later.push(one.leave())
    if (event.what === 'killed' || event.what === 'left') later.push(come(event.again + LAST, event.node))
  }
  await Promise.all(later)
  await sleep(Math.max(0, began + LASTS - performance.now()))
  over.abort()
  await sleep(TIMEOUT)
  return seen
}

test('losses among nodes that freeze, go deaf, die, leave and come: arrivals stay within every limit', async () => {
  await using server = await redisServer()
  const admin = createClient({ url: server.url })
  admin.on('error', () => {})
  await admin.connect()
  const forget = async (pattern: string) => {
    const keys = await admin.keys(pattern)
    if (keys.length > 0) await admin.del(keys)
  }
  // Time is real, so all of them go at once.
  await fc.assert(
    fc.asyncProperty(fc.array(scenario, { minLength: 8, maxLength: 8 }), async (scenarios) => {
      const all = await Promise.all(scenarios.map((one) => run(server.url, forget, one)))
      for (const [index, seen] of all.entries()) expectWithin(scenarios[index]?.limits ?? [], seen)
    }),
    { numRuns: 2, endOnFailure: true },
  )
  admin.destroy()
}, 120_000)
