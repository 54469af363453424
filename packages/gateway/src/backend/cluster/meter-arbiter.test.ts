import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import type { Priority } from '../../events.ts'
import { LAST_ARRIVALS, memoryMeter } from '../memory/meters.ts'
import type { MeterPlan, Want } from '../ports.ts'
import { type MeterArbiter, openMeterArbiter } from './meter-arbiter.ts'

const PLAN: MeterPlan = { limits: [{ limit: 4, window: 1000, by: 'account' }], keys: 1, pastUsage: 'none' }

function open(plan = PLAN) {
  const clock = new ManualClock()
  return { clock, desk: openMeterArbiter(memoryMeter(clock, plan), plan, clock), a: { name: 'a' }, b: { name: 'b' } }
}

function wants(count: number, priority: Priority = 'interactive', lane?: string): readonly Want[] {
  return Array.from({ length: count }, () => ({ priority, cost: 1, ...(lane === undefined ? {} : { lane }) }))
}

const ids = (desk: MeterArbiter, worker: object, count: number, priority?: Priority) =>
  desk.take(worker, wants(count, priority)).granted.map(({ id }) => id)

/** A worker always has more to send: it asks when it was told to, and its calls take no time. */
async function compete(
  desk: MeterArbiter,
  clock: ManualClock,
  workers: readonly { readonly worker: object; readonly priority: Priority; readonly late: number }[],
  milliseconds: number,
): Promise<readonly number[]> {
  const got = workers.map(() => 0)
  const next = workers.map(() => clock.monotonic())
  const until = clock.monotonic() + milliseconds
  while (clock.monotonic() < until) {
    for (const [index, { worker, priority, late }] of workers.entries()) {
      if ((next[index] ?? 0) > clock.monotonic()) continue
      const { granted, wait = 1 } = desk.take(worker, wants(1, priority))
      for (const { id } of granted) {
        got[index] = (got[index] ?? 0) + 1
        desk.settle(worker, id, 1)
      }
      next[index] = clock.monotonic() + (granted.length > 0 ? 0 : wait) + late
    }
    await clock.advance(1)
  }
  return got
}

test('all workers together have the limit once', () => {
  const { desk, a, b } = open()
  expect(ids(desk, a, 3)).toHaveLength(3)
  expect(ids(desk, b, 3)).toHaveLength(1)
  expect(ids(desk, a, 1)).toHaveLength(0)
})

test('who waits for calls of another worker is told to ask again soon; for its own it is woken by their end', () => {
  const { desk, a, b } = open()
  ids(desk, a, 4)
  expect(desk.take(a, wants(1)).wait).toBeUndefined()
  expect(desk.take(b, wants(1)).wait).toBe(100)
})

test('the calls of a worker that died hold their places for a window after the last of them may have arrived', async () => {
  const { clock, desk, a, b } = open()
  ids(desk, a, 3)
  desk.gone(a)
  expect(ids(desk, b, 4)).toHaveLength(1)
  await clock.advance(LAST_ARRIVALS + 999)
  expect(ids(desk, b, 4)).toHaveLength(0)
  await clock.advance(2)
  expect(ids(desk, b, 4)).toHaveLength(3)
})

test('a call counts once: who settles after its death, twice, or for another, changes nothing', async () => {
  const { clock, desk, a, b } = open()
  const [first = 0] = ids(desk, a, 4)
  desk.cancel(b, first)
  expect(ids(desk, b, 1)).toHaveLength(0)
  desk.settle(a, first, 1)
  desk.settle(a, first, 1)
  desk.cancel(a, first)
  await clock.advance(1001)
  expect(ids(desk, b, 4)).toHaveLength(1)
})

test('an urgent want of one worker goes before a background one of another, whoever asks first', async () => {
  const { clock, desk, a, b } = open()
  for (const id of ids(desk, a, 4)) desk.settle(a, id, 1)
  expect(ids(desk, a, 1, 'background')).toHaveLength(0)
  expect(ids(desk, b, 1, 'interactive')).toHaveLength(0)
  await clock.advance(1001)
  expect(desk.take(a, wants(4, 'background'))).toMatchObject({ granted: [], wait: 4 })
  expect(ids(desk, b, 1, 'interactive')).toHaveLength(1)
  expect(ids(desk, a, 4, 'background')).toHaveLength(3)
})

test('who does not come in its turn holds up the others for a moment only', async () => {
  const { clock, desk, a, b } = open()
  for (const id of ids(desk, a, 4)) desk.settle(a, id, 1)
  ids(desk, b, 1, 'interactive')
  await clock.advance(1001)
  expect(ids(desk, a, 1, 'background')).toHaveLength(0)
  await clock.advance(20)
  expect(ids(desk, a, 1, 'background')).toHaveLength(1)
})

test('workers of one class have equal shares, however slow one is to ask', async () => {
  const { clock, desk, a, b } = open({ ...PLAN, limits: [{ limit: 20, window: 1000, by: 'account' }], pace: true })
  const [quick = 0, slow = 0] = await compete(
    desk,
    clock,
    [
      { worker: a, priority: 'live', late: 0 },
      { worker: b, priority: 'live', late: 3 },
    ],
    20_000,
  )
  expect(quick + slow).toBeGreaterThan(0.95 * 400)
  expect(Math.min(quick, slow) / Math.max(quick, slow)).toBeGreaterThan(0.8)
})

test('a worse class of one worker still moves beside a better one of another that never ends', async () => {
  const { clock, desk, a, b } = open({ ...PLAN, limits: [{ limit: 20, window: 1000, by: 'account' }], pace: true })
  const [better = 0, worse = 0] = await compete(
    desk,
    clock,
    [
      { worker: a, priority: 'interactive', late: 1 },
      { worker: b, priority: 'background', late: 1 },
    ],
    20_000,
  )
  expect(worse).toBeGreaterThan(0.05 * better)
  expect(better).toBeGreaterThan(3 * worse)
})

test('who waits for a full lane holds up no other lane of another worker', () => {
  const limits = [
    { limit: 9, window: 1000, by: 'account' },
    { limit: 1, window: 1000, by: 'account', lane: '*' },
  ] as const
  const { desk, a, b } = open({ ...PLAN, limits })
  expect(desk.take(a, wants(2, 'interactive', 'search')).granted).toHaveLength(1)
  expect(desk.take(b, wants(1, 'background', 'list')).granted).toHaveLength(1)
})

test('calls that were granted by an earlier plan end where they began', async () => {
  const { clock, desk, a } = open()
  const before = ids(desk, a, 4)
  const plan: MeterPlan = { ...PLAN, limits: [{ limit: 2, window: 1000, by: 'account' }] }
  const next = memoryMeter(clock, { ...plan, pastUsage: 'unknown' })
  desk.replace(next, plan)
  expect(ids(desk, a, 4)).toHaveLength(0)
  for (const id of before) desk.cancel(a, id)
  await clock.advance(1000 + LAST_ARRIVALS + 1)
  expect(ids(desk, a, 4)).toHaveLength(2)
})
