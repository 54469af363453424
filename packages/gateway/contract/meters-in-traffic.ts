import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Grant, Meter, MeterLimit } from '../src/backend/ports.ts'
import type { Open } from './opened.ts'

/** One call: when somebody wants it, and how long it travels, is worked on and travels back. Milliseconds. */
export interface Journey {
  readonly at: number
  readonly out: number
  readonly work: number
  readonly back: number
}

/** A call as the upstream saw it. */
export interface Seen {
  readonly key: number
  readonly startedAt: number
  readonly arrivedAt: number
  settledAt: number
}

/**
 * What a meter is for, counted at the upstream: arrivals in any sliding window stay within the limit whatever the network
 * does, and nothing waits without need. For backends whose time can be moved.
 */
export function metersInTraffic(name: string, open: Open): void {
  describe(`meters in traffic: ${name}`, () => {
    test('arrivals never exceed a limit in any sliding window, and nobody waits while there is a place', async () => {
      await fc.assert(
        fc.asyncProperty(limits, fc.integer({ min: 1, max: 3 }), journeys, async (limits, keys, calls) => {
          const { backend, advance } = await open()
          const meter = backend.meters.open('upstream', { limits, keys, pastUsage: 'none' })
          const seen = await travel(meter, advance, calls, (seen, now) => {
            for (let key = 0; key < keys; key++) expect(isFull(limits, key, seen, now)).toBe(true)
          })
          expect(seen).toHaveLength(calls.length)
          expectWithin(limits, seen)
          await backend.close()
        }),
        { numRuns: 150 },
      )
    })

    test('saturated for a minute through jitter and stalls, at least 98 % of the reachable rate is used', async () => {
      const limits: readonly MeterLimit[] = [{ limit: 50, window: 1000, by: 'account' }]
      const random = numbers(7)
      const calls = Array.from({ length: 3500 }, (_, index) => {
        const stall = index % 250 === 249 ? 150 : 0
        return { at: 0, out: 10 + Math.floor(random() * 31) + stall, work: 5, back: 10 + Math.floor(random() * 31) }
      })
      const { backend, advance } = await open()
      const meter = backend.meters.open('upstream', { limits, keys: 1, pastUsage: 'none' })
      const seen = await travel(meter, advance, calls, () => {})
      const minute = seen.filter(({ startedAt }) => startedAt < 60_000)
      const answered = minute.reduce((sum, { startedAt, settledAt }) => sum + settledAt - startedAt, 0) / minute.length
      expectWithin(limits, seen)
      expect(minute.length).toBeGreaterThan((0.98 * 50 * 60_000) / (1000 + answered))
      await backend.close()
    })
  })
}

export const limits = fc.array(
  fc.record({
    limit: fc.integer({ min: 1, max: 6 }),
    window: fc.integer({ min: 40, max: 800 }),
    by: fc.constantFrom('account' as const, 'key' as const),
  }),
  { minLength: 1, maxLength: 3 },
)

const travelTime = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 0, max: 60 }) },
  fc.integer({ min: 60, max: 2000 }),
)

export const journeys: fc.Arbitrary<readonly Journey[]> = fc.array(
  fc.record({
    at: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3000 })),
    out: travelTime,
    work: fc.integer({ min: 0, max: 20 }),
    back: travelTime,
  }),
  { minLength: 1, maxLength: 50, size: 'max' },
)

/** Sends all calls through the meter, in the order in which they are wanted, until the last was answered. */
async function travel(
  meter: Meter,
  advance: (milliseconds: number) => Promise<void>,
  calls: readonly Journey[],
  refused: (seen: readonly Seen[], now: number) => void,
): Promise<readonly Seen[]> {
  const queue = [...calls].sort((a, b) => a.at - b.at)
  const seen: Seen[] = []
  const answers: { at: number; grant: Grant; call: Seen }[] = []
  let now = 0
  let promised: number | undefined

  for (;;) {
    for (let next = queue[0]; next !== undefined && next.at <= now; next = queue[0]) {
      const { granted, wait } = await meter.acquire([{ priority: 'interactive', cost: 1 }])
      const [grant] = granted
      if (grant === undefined) {
        refused(seen, now)
        // What was promised for this moment must hold: nobody else takes places.
        expect(promised === undefined || now < promised).toBe(true)
        promised = wait === undefined ? undefined : now + wait
        break
      }
      promised = undefined
      queue.shift()
      const arrivedAt = now + next.out
      const call = { key: grant.key, startedAt: now, arrivedAt, settledAt: Number.POSITIVE_INFINITY }
      seen.push(call)
      answers.push({ at: arrivedAt + next.work + next.back, grant, call })
    }
    answers.sort((a, b) => a.at - b.at)
    const waiting = queue[0] === undefined ? undefined : queue[0].at > now ? queue[0].at : promised
    const next = Math.min(answers[0]?.at ?? Number.POSITIVE_INFINITY, waiting ?? Number.POSITIVE_INFINITY)
    if (next === Number.POSITIVE_INFINITY) return seen
    await advance(next - now)
    now = next
    while (answers[0] !== undefined && answers[0].at <= now) {
      const [{ grant, call }] = answers.splice(0, 1) as [(typeof answers)[number]]
      call.settledAt = now
      meter.release(grant)
    }
  }
}

/** Whether one more call with this key would break a limit: some window is full of calls that are or lately were under way. */
function isFull(limits: readonly MeterLimit[], key: number, seen: readonly Seen[], now: number): boolean {
  return limits.some(({ limit, window, by }) => {
    const counted = seen.filter((call) => (by === 'account' || call.key === key) && call.settledAt + window > now)
    return counted.length >= limit
  })
}

/** Counts, by brute force, the arrivals in the window that begins with each arrival. */
export function expectWithin(limits: readonly MeterLimit[], seen: readonly Seen[]): void {
  for (const { limit, window, by } of limits) {
    const groups = by === 'account' ? [seen] : [...Map.groupBy(seen, ({ key }) => key).values()]
    for (const calls of groups) {
      const arrivals = calls.map(({ arrivedAt }) => arrivedAt).sort((a, b) => a - b)
      let end = 0
      for (const [index, first] of arrivals.entries()) {
        while ((arrivals[end] ?? Number.POSITIVE_INFINITY) < first + window) end += 1
        expect(end - index).toBeLessThanOrEqual(limit)
      }
    }
  }
}

/** Pseudo-random numbers from 0 to 1, the same for the same seed (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
