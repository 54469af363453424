import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { createClient } from 'redis'
import { expect, test } from 'vitest'
import { expectWithin, type Seen } from '../contract/meters-in-traffic.ts'
import type { Grant, Meter, MeterLimit } from '../src/backend/ports.ts'
import { redisBackendParts } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import { oneWay } from './one-way.ts'
import { redisServer } from './redis-server.ts'

/** The longest that a call takes, and for how long after a process died its last calls arrive. Milliseconds. */
const TIMEOUT = 300
const LAST = 200
const LASTS = 6000

/** What befalls the nodes, and when. */
type Event =
  | { readonly what: 'loss' | 'evicted meter' | 'evicted nodes'; readonly at: number }
  | { readonly what: 'frozen' | 'deaf'; readonly at: number; readonly node: number; readonly for: number }
  | { readonly what: 'killed' | 'left'; readonly at: number; readonly node: number; readonly again: number }

const at = fc.integer({ min: 1500, max: 4500 })
const node = fc.integer({ min: 0, max: 2 })
const lost = fc.oneof(
  { weight: 6, arbitrary: fc.constant('loss' as const) },
  fc.constantFrom('evicted meter' as const, 'evicted nodes' as const),
)

/** Things come together: around a loss, more often than not. */
const events: fc.Arbitrary<readonly Event[]> = fc
  .record({
    at,
    losses: fc.array(fc.record({ what: lost, at: fc.integer({ min: 0, max: 400 }) }), { minLength: 1, maxLength: 3 }),
    others: fc.array(
      fc.oneof(
        fc.record({
          what: fc.constantFrom('frozen' as const, 'deaf' as const),
          at: fc.integer({ min: -600, max: 400 }),
          ...{ node, for: fc.integer({ min: 50, max: 2000 }) },
        }),
        fc.record({
          what: fc.constantFrom('killed' as const, 'left' as const),
          at: fc.integer({ min: -600, max: 400 }),
          ...{ node, again: fc.integer({ min: 0, max: 600 }) },
        }),
      ),
      { maxLength: 3 },
    ),
  })
  .map(({ at, losses, others }) =>
    [...losses, ...others].map((event) => ({ ...event, at: at + event.at })).sort((a, b) => a.at - b.at),
  )

const scenario = fc.record({
  limits: fc.array(
    fc.record({
      limit: fc.integer({ min: 2, max: 8 }),
      window: fc.integer({ min: 200, max: 1000 }),
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

test('losses of what Redis keeps, among nodes that freeze, die, leave and come: arrivals stay within every limit', async () => {
  await using server = await redisServer()
  const admin = createClient({ url: server.url })
  await admin.connect()

  async function run({ limits, keys, events, travels }: (typeof scenario)['_T' & never]): Promise<void> {}

  admin.destroy()
}, 120_000)
