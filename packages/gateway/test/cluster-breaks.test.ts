import { expect, test } from 'vitest'
import { clusterBackend } from '../src/backend/cluster/backend.ts'
import type { IpcPort } from '../src/backend/cluster/ipc-port.ts'
import { serving } from '../src/backend/cluster/primary.ts'
import type { Backend, LogLine, Meter, MeterLimit } from '../src/backend/ports.ts'
import type { Stored } from '../src/entry.ts'
import { content } from './content.ts'
import { ManualClock } from './manual-clock.ts'
import { portCarriers } from './port-carrier.ts'
import { Primary } from './primary.ts'

const TOPIC = '/prices/SOL'
const unavailable = { code: 'backend_unavailable' }

async function publish({ leases, values }: Backend, value: unknown, owner = 'one'): Promise<Stored | undefined> {
  const lease = await leases.acquire(TOPIC, owner, 5000, 0)
  if (!lease.held) throw new Error('expected the lease')
  const stored = await values.publish(TOPIC, {
    ...{ token: lease.token, knownEpoch: 0, hash: String(value), content: content(value), keep: 60_000 },
  })
  await leases.release(TOPIC, owner, lease.token)
  return stored
}

const text = (stored: Stored | undefined) => stored?.json?.toString()

test('a primary that hangs: all that is asked has failed by its deadline, and what it does later is undone', async () => {
  await using primary = new Primary()
  const backend = clusterBackend({ carrier: primary.open(), deadline: 500, report: () => {} })
  // It may still be starting.
  await expect.poll(() => publish(backend, 1).catch(() => undefined)).toBeDefined()
  const plan = { limits: [{ limit: 1, window: 60_000, by: 'account' }], keys: 1, pastUsage: 'none' } as const
  const meter = backend.meters.open('scarce', plan)
  primary.signal('SIGSTOP')
  const began = performance.now()
  const asked = [
    backend.values.read(TOPIC),
    backend.leases.acquire(TOPIC, 'one', 60_000, 0),
    backend.leases.claim('group', ['a'], 'one', 60_000),
    meter.acquire([{ priority: 'live', cost: 1 }]),
    backend.logs.read('trades', 0, 1),
  ]
  for (const { status } of await Promise.allSettled(asked)) expect(status).toBe('rejected')
  expect(performance.now() - began).toBeLessThan(1500)
  await expect(Promise.resolve(backend.values.read(TOPIC))).rejects.toMatchObject(unavailable)
  primary.signal('SIGCONT')
  // The lease and the grant that nobody waited for are free.
  await expect
    .poll(() => backend.leases.acquire(TOPIC, 'other', 1000, 0).catch(() => undefined))
    .toMatchObject({ held: true })
  await expect
    .poll(
      async () =>
        (await Promise.resolve(meter.acquire([{ priority: 'live', cost: 1 }])).catch(() => undefined))?.granted,
    )
    .toHaveLength(1)
})

test('a primary that is gone: all that is asked fails at once', async () => {
  await using primary = new Primary()
  const backend = clusterBackend({ carrier: primary.open(), deadline: 5000, report: () => {} })
  await publish(backend, 1)
  const waiting = Array.from({ length: 3 }, () => publish(backend, 2).catch((error: unknown) => error))
  await primary.kill()
  for (const error of await Promise.all(waiting)) {
    if (error instanceof Error) expect(error).toMatchObject(unavailable)
  }
  await expect(publish(backend, 3)).rejects.toMatchObject(unavailable)
})

test('whoever dies leaves leases and claims to others at once, and can not publish under them any more', async () => {
  const clock = new ManualClock()
  const shared = serving({ bytes: 1_000_000, clock, report: () => {} })
  using dying = portCarriers()
  using living = portCarriers()
  for (const [, theirs] of [dying, living]) shared.serve(theirs)
  const [one, other] = [dying, living].map(([ours]) => clusterBackend({ carrier: ours, clock, report: () => {} }))
  if (one === undefined || other === undefined) throw new Error('expected two workers')
  await one.leases.acquire(TOPIC, 'one', 60_000, 0)
  await one.leases.claim('group', ['a', 'b'], 'one', 60_000)
  expect(await other.leases.acquire(TOPIC, 'other', 60_000, 0)).toMatchObject({ held: false })
  expect(await other.leases.claim('group', ['a', 'c'], 'other', 60_000)).toEqual([false, true])
  dying[Symbol.dispose]()
  await expect.poll(() => other.leases.acquire(TOPIC, 'other', 60_000, 0)).toMatchObject({ held: true })
  expect(await other.leases.claim('group', ['a', 'b', 'c'], 'other', 60_000)).toEqual([true, true, true])
})

test('a worker that listens later, or did not read for long, hears the latest of all it missed', async () => {
  const clock = new ManualClock()
  const shared = serving({ bytes: 100_000_000, clock, report: () => {} })
  using ones = portCarriers()
  using others = portCarriers()
  shared.serve(ones[1])
  const slow = slowed(others[1])
  shared.serve(slow)
  const [one, other] = [ones[0], others[0]].map((carrier) => clusterBackend({ carrier, clock, report: () => {} }))
  if (one === undefined || other === undefined) throw new Error('expected two workers')
  await publish(one, 'before')
  const heard: Stored[] = []
  const lines: LogLine[] = []
  const words: string[] = []
  other.bus.subscribe(TOPIC, (stored) => heard.push(stored))
  other.logs.subscribe('trades', (line) => lines.push(line))
  other.bus.onBroadcast('drops', (word) => words.push(word))
  await expect.poll(() => text(heard.at(-1))).toBe('"before"')
  await expect.poll(() => words).toEqual([''])

  const resume = slow.stop()
  const large = 'x'.repeat(300_000)
  // One more message is on its way before it is seen that nothing is taken.
  one.bus.broadcast('drops', 'last')
  await expect.poll(() => words).toEqual(['', 'last'])
  for (let i = 0; i < 10; i++) {
    await one.logs.append('trades', Buffer.from(large), { events: 100, age: 60_000 })
    one.bus.broadcast('drops', large)
  }
  await publish(one, 'after')
  expect(lines).toEqual([])
  resume()
  await expect.poll(() => text(heard.at(-1))).toBe('"after"')
  await expect.poll(() => lines.at(-1)?.offset).toBe(10)
  await expect.poll(() => words.slice(2).includes('')).toBe(true)
  expect(words.filter((word) => word === large).length).toBeLessThan(4)
})

/** A carrier whose system can stop to take anything. */
function slowed(carrier: IpcPort): IpcPort & { stop(): () => void } {
  let waiting: (() => void)[] | undefined
  return {
    ...carrier,
    post: (message, taken) =>
      carrier.post(message, () => {
        if (waiting === undefined) taken()
        else waiting.push(taken)
      }),
    stop() {
      waiting = []
      return () => {
        const all = waiting ?? []
        waiting = undefined
        for (const taken of all) taken()
      }
    },
  }
}

test('what is kept of a message holds on to no more than its own bytes', async () => {
  await using primary = new Primary()
  const backend = clusterBackend({ carrier: primary.open(), deadline: 5000, report: () => {} })
  await publish(backend, 'short')
  const [stored] = await Promise.all([
    backend.values.read(TOPIC),
    backend.logs.append('trades', Buffer.alloc(1_000_000), { events: 1, age: 1000 }),
    backend.logs.read('trades', 0, 1),
  ])
  expect(text(stored)).toBe('"short"')
  expect(stored?.json?.buffer.byteLength).toBe('"short"'.length)
})

test('workers of different versions have the stricter of their limits, in whatever order they come and go, and a warning says so', async () => {
  for (const looserFirst of [true, false]) {
    const clock = new ManualClock()
    const told: string[] = []
    const mixed = (upstream: string, limits: readonly MeterLimit[]) =>
      void told.push(`${upstream} ${limits.map(({ limit }) => limit)}`)
    const shared = serving({ bytes: 1_000_000, clock, report: () => {}, mixed })
    using loose = portCarriers()
    using strict = portCarriers()
    for (const [, theirs] of [loose, strict]) shared.serve(theirs)
    const [one, other] = [loose, strict].map(([ours]) => clusterBackend({ carrier: ours, clock, report: () => {} }))
    if (one === undefined || other === undefined) throw new Error('expected two workers')
    const limits = (...all: readonly (readonly [limit: number, window: number])[]) => ({
      limits: all.map(([limit, window]) => ({ limit, window, by: 'account' as const })),
      ...{ keys: 1, pastUsage: 'none' as const },
    })
    const plans = [limits([10, 1000], [100, 3000]), limits([100, 3000], [4, 1000])] as const
    const take = async (meter: Meter) => {
      const wants = Array.from({ length: 20 }, () => ({ priority: 'live' as const, cost: 1 }))
      const { granted } = await meter.acquire(wants)
      for (const grant of granted) meter.release(grant)
      return granted.length
    }
    const openLoose = () => one.meters.open('up', plans[0])
    const openStrict = () => other.meters.open('up', plans[1])
    const meters = looserFirst ? [openLoose(), openStrict()] : [openStrict(), openLoose()]
    const [first, second] = meters as [Meter, Meter]
    // Asked, so that both have been opened; what was spent before is not known, so nothing is granted for a window.
    await Promise.all(meters.map((meter) => meter.acquire([])))
    if (looserFirst) expect(await take(first)).toBe(0)
    await clock.advance(3300)
    expect([await take(second), await take(first)]).toEqual([4, 0])
    await clock.advance(1050)
    expect([await take(first), await take(second)]).toEqual([4, 0])
    expect(told).toEqual(['up 4,100'])
    strict[Symbol.dispose]()
    await expect
      .poll(async () => {
        await clock.advance(3300)
        return take(looserFirst ? first : second)
      })
      .toBe(10)
  }
})
