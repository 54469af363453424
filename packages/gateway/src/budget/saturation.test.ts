import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { memoryMeters } from '../backend/memory/meters.ts'
import type { UpstreamAnswer } from '../call.ts'
import type { Priority } from '../events.ts'
import { createBudget } from './budget.ts'

const LIMIT = 50
const WINDOW = 1000

/** A time at which nothing gets through: what is under way then waits until it is over. */
interface Stall {
  readonly at: number
  readonly for: number
}

interface Road {
  readonly seed: number
  readonly stalls: readonly Stall[]
  readonly limit?: number
  readonly pace?: boolean
}

/** An upstream at the end of a road of 25 ± 15 ms each way, that counts what arrives and refuses what is too much. */
function open({ seed, stalls, limit = LIMIT, pace = false }: Road) {
  const clock = new ManualClock()
  const begun = clock.monotonic()
  const random = numbers(seed)
  const arrivals: number[] = []
  const started: number[] = []
  let refused = 0
  let answering = 0
  let answered = 0

  const limits = [{ limit, window: WINDOW, by: 'account' as const }]
  const plan = { limits, keys: 1, pastUsage: 'none' as const, pace }
  const meter = memoryMeters(clock).open('upstream', plan)
  const budget = createBudget({ upstream: 'upstream', meter, plan, clock, emit: () => {}, concurrency: 1000, keys: [] })

  function travels(from: number): number {
    const at = from + 10 + 30 * random()
    const stall = stalls.find((stall) => at >= begun + stall.at && at < begun + stall.at + stall.for)
    return (stall === undefined ? at : begun + stall.at + stall.for) - from
  }

  /** Who sent it may give it up; it arrives all the same. */
  const send = budget.stage(({ signal }): Promise<UpstreamAnswer> => {
    const { promise, reject } = Promise.withResolvers<never>()
    signal?.addEventListener('abort', () => reject(signal.reason))
    return Promise.race([promise, travel()])
  })

  async function travel(): Promise<UpstreamAnswer> {
    const at = clock.monotonic()
    started.push(at - begun)
    await wait(clock, travels(at))
    const now = clock.monotonic()
    arrivals.push(now)
    const lately = arrivals.filter((arrival) => arrival > now - WINDOW).length
    if (lately > limit) refused += 1
    await wait(clock, travels(now))
    answering += clock.monotonic() - at
    answered += 1
    return { status: lately > limit ? 429 : 200, headers: {}, body: Buffer.alloc(0) }
  }

  const seen = () => ({ arrivals, started, refused, answerTime: answering / Math.max(1, answered) })
  return { clock, send, seen }
}

function wait(clock: ManualClock, duration: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(duration, resolve)
  })
}

/** The most that arrived in any window that begins with an arrival. */
function most(arrivals: readonly number[]): number {
  let end = 0
  let most = 0
  arrivals.forEach((first, index) => {
    while ((arrivals[end] ?? Number.POSITIVE_INFINITY) < first + WINDOW) end += 1
    most = Math.max(most, end - index)
  })
  return most
}

describe('a budget under saturation, counted at the upstream', () => {
  const stalls = [
    ...Array.from({ length: 12 }, (_, index) => ({ at: 4000 + index * 5000, for: 150 })),
    { at: 31_000, for: 2000 },
  ]

  test.each([
    ['at once', false],
    ['paced', true],
  ])(
    'a minute of starts %s, with stalls: never too many in any second, and at least 98 % of the reachable rate',
    async (_, pace) => {
      const { clock, send, seen } = open({ seed: 11, stalls, pace })
      let over = false
      const caller = async (client: string) => {
        while (!over) await send(request({ client }))
      }
      for (let i = 0; i < 100; i++) void caller(`${i % 10}`)
      await clock.advance(60_000)
      over = true
      const { arrivals, started, refused, answerTime } = seen()
      expect(most(arrivals)).toBeLessThanOrEqual(LIMIT)
      expect(refused).toBe(0)
      expect(started.length).toBeGreaterThanOrEqual((0.98 * LIMIT * 60_000) / (WINDOW + answerTime))
    },
    60_000,
  )

  test('whatever comes when, by whom, and however the road is shut', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async ({ limit, pace, seed, stalls, bursts }) => {
        const { clock, send, seen } = open({ limit, pace, seed, stalls })
        let done = 0
        let given = 0
        for (const { after, calls, priority, client, patience, givesUp } of bursts) {
          await clock.advance(after)
          for (let i = 0; i < calls; i++) {
            given += 1
            const deadline = clock.monotonic() + patience
            const controller = new AbortController()
            if (givesUp !== undefined) clock.after(givesUp + i, () => controller.abort(new Error('left')))
            send(request({ priority, client, deadline, signal: controller.signal })).then(
              () => {
                done += 1
              },
              () => {
                done += 1
              },
            )
          }
        }
        await clock.advance(20_000)
        const { arrivals, refused } = seen()
        expect(most(arrivals)).toBeLessThanOrEqual(limit)
        expect(refused).toBe(0)
        expect(done).toBe(given)
        expect(clock.timers).toBe(0)
      }),
      { numRuns: 500 },
    )
  }, 60_000)
})

const schedule = fc.record({
  limit: fc.integer({ min: 1, max: 12 }),
  pace: fc.boolean(),
  seed: fc.integer(),
  stalls: fc.array(fc.record({ at: fc.integer({ min: 0, max: 6000 }), for: fc.constantFrom(40, 150, 700, 2000) }), {
    maxLength: 4,
  }),
  bursts: fc.array(
    fc.record({
      after: fc.constantFrom(0, 0, 15, 180, 990, 2500),
      calls: fc.integer({ min: 1, max: 12 }),
      priority: fc.constantFrom<Priority[]>('interactive', 'live', 'background'),
      client: fc.constantFrom('a', 'b', 'c'),
      patience: fc.constantFrom(100, 1500, 15_000),
      givesUp: fc.constantFrom(undefined, 0, 5, 30, 300, 1900, 2500),
    }),
    { minLength: 1, maxLength: 8 },
  ),
})

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
