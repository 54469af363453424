import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redisServer } from '../../../scripts/redis-server.ts'
import { expectWithin, type Journey, journeys, limits, type Seen } from '../contract/meters-in-traffic.ts'
import type { Meter, MeterLimit } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'

/** The longest that one of the journeys takes, in milliseconds. */
const TIMEOUT = 4100

/** Sends calls one after the other, each as soon as it is wanted and granted. */
async function send(meter: Meter, calls: readonly Journey[], began: number): Promise<readonly Seen[]> {
  const travels: Promise<Seen>[] = []
  for (const call of [...calls].sort((a, b) => a.at - b.at)) {
    await sleep(Math.max(0, began + call.at - performance.now()))
    for (let started = false; !started; ) {
      const { granted, wait = 50 } = await meter.acquire([{ priority: 'interactive', cost: 1 }])
      const [grant] = granted
      if (grant === undefined) {
        await sleep(Math.min(wait, 50))
        continue
      }
      await sleep(Math.max(0, grant.notBefore - performance.now()))
      started = performance.now() <= grant.expiresAt
      if (!started) meter.cancel(grant)
      else travels.push(travel(meter, grant, call))
    }
  }
  return Promise.all(travels)
}

async function travel(
  meter: Meter,
  grant: Parameters<Meter['release']>[0],
  { out, work, back }: Journey,
): Promise<Seen> {
  const startedAt = performance.now()
  await sleep(out)
  const arrivedAt = performance.now()
  await sleep(work + back)
  meter.release(grant)
  return { key: grant.key, startedAt, arrivedAt, settledAt: performance.now() }
}

const scenario = fc.record({
  limits,
  keys: fc.integer({ min: 1, max: 3 }),
  nodes: fc.array(
    journeys.map((calls) => calls.slice(0, 8)),
    { minLength: 2, maxLength: 2 },
  ),
})

test('two nodes in any traffic: arrivals never exceed a limit in any sliding window, and all start', async () => {
  await using server = await redisServer()
  async function run(
    limits: readonly MeterLimit[],
    keys: number,
    nodes: readonly (readonly Journey[])[],
  ): Promise<void> {
    const prefix = randomUUID()
    const parts = nodes.map((_, index) =>
      redisBackend({ url: server.url, prefix, node: `node-${index}`, deadline: 5000, report: () => {} }),
    )
    const began = performance.now()
    const seen = await Promise.all(
      parts.map(({ meters }, index) => {
        const meter = meters.open('upstream', { limits, keys, pastUsage: 'none', timeout: TIMEOUT })
        return send(meter, nodes[index] ?? [], began)
      }),
    )
    await Promise.all(parts.map((one) => one.close()))
    expect(seen.flat()).toHaveLength(nodes.flat().length)
    expectWithin(limits, seen.flat())
  }
  // Time is real, so all of them go at once.
  await fc.assert(
    fc.asyncProperty(fc.array(scenario, { minLength: 16, maxLength: 16 }), async (scenarios) => {
      await Promise.all(scenarios.map(({ limits, keys, nodes }) => run(limits, keys, nodes)))
    }),
    { numRuns: 1, endOnFailure: true },
  )
}, 120_000)
