/**
 * One gateway node without its gateway: budget, meter (shared where there is a Redis) and sockets, in a process of its own, always with more to
 * send than may go. `redis-node.ts <settings as JSON>`; counts go to the parent, ten times a second.
 */

import { memoryMeters } from '../src/backend/memory/meters.ts'
import type { MeterLimit } from '../src/backend/ports.ts'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { createBudget } from '../src/budget/budget.ts'
import { systemClock } from '../src/clock.ts'
import { createPool } from '../src/pool/pool.ts'

export interface NodeSettings {
  readonly redis?: string
  readonly upstream: string
  readonly name: string
  readonly limit: number
  readonly window: number
  /** In place of that one limit. */
  readonly limits?: readonly MeterLimit[]
  readonly waiting: number
  readonly timeout: number
}

export interface NodeCounts {
  readonly started: number
  readonly answered: number
  readonly refused: number
  readonly failed: number
  /** Milliseconds of all answers together. */
  readonly took: number
}

const settings: NodeSettings = JSON.parse(process.argv[2] ?? '{}')
const { redis, upstream, name, limit, window, waiting, timeout } = settings
const { limits = [{ limit, window, by: 'account' as const }] } = settings
const counts = { started: 0, answered: 0, refused: 0, failed: 0, took: 0 }

const backend =
  redis === undefined
    ? { meters: memoryMeters(systemClock), close: () => Promise.resolve() }
    : redisBackend({ url: redis, prefix: 'nodes', node: name, report: () => {} })
const plan = { limits, keys: 1, pastUsage: 'unknown' as const, timeout }
const meter = backend.meters.open('jupiter', plan)
const emit = () => {}
const budget = createBudget({ upstream: 'jupiter', meter, plan, clock: systemClock, emit, concurrency: 200, keys: [] })
const pool = createPool({
  ...{ upstream: 'jupiter', url: upstream, connections: 200, timeout, maxResponse: 1_000_000 },
  ...{ clock: systemClock, emit },
})

const send = budget.stage(async (request) => {
  counts.started += 1
  const began = performance.now()
  const answer = await pool.send(request)
  counts.took += performance.now() - began
  counts.answered += 1
  if (answer.status === 429) counts.refused += 1
  return answer
})

let leaving = false

async function client(index: number): Promise<void> {
  while (!leaving) {
    try {
      await send({
        ...{ method: 'GET', path: '/price/v3?ids=So11111111111111111111111111111111111111112' },
        headers: { 'x-api-key': 'jup_bench' },
        ...{ body: undefined, priority: 'interactive', client: `c${index}`, cost: 1 },
        ...{ deadline: systemClock.monotonic() + 60_000, signal: undefined, apiKey: undefined },
      })
    } catch {
      counts.failed += 1
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

for (let index = 0; index < waiting; index++) void client(index)
setInterval(() => process.send?.(counts), 100)
process.on('disconnect', () => process.exit())
// As a process that drains: it starts nothing more, and says goodbye.
process.on('SIGTERM', () => {
  leaving = true
  setTimeout(() => void backend.close().then(() => process.exit()), 200)
})
