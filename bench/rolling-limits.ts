/**
 * A rolling change of limits over one Redis, under load: four processes with more to send than may go are replaced one by one by those of a version
 * that lists its limits in another order, then by one with stricter limits, then back. Arrivals are counted at the upstream. While versions
 * overlap the stricter limits hold. `node bench/rolling-limits.ts [seconds a step]`
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MeterLimit } from '../packages/gateway/src/backend/ports.ts'
import { RedisNodes } from '../packages/gateway/test/redis-nodes.ts'
import { mostWithin, slowRoad } from '../packages/gateway/test/slow-road.ts'
import { redisServer } from '../scripts/redis-server.ts'
import { head, row } from './prices.ts'

const SECONDS = Number(process.argv[2] ?? 3)
const NODES = 4

const limits = (...all: readonly (readonly [limit: number, window: number])[]): readonly MeterLimit[] =>
  all.map(([limit, window]) => ({ limit, window, by: 'account' }))

const FIRST = limits([40, 1000], [90, 3000])
const REORDERED = limits([90, 3000], [40, 1000])
const STRICTER = limits([45, 3000], [20, 1000])

const ROLLS = [
  { what: 'the same limits in another order', to: REORDERED, second: 40, three: 90 },
  { what: 'stricter limits', to: STRICTER, second: 20, three: 45 },
  { what: 'the first limits again', to: FIRST, second: 20, three: 45 },
]

await using redis = await redisServer()
await using road = await slowRoad({
  ...{ limit: 40, window: 1000, travel: { mean: 25, spread: 15 }, stall: { every: 5000, for: 150 } },
})
await using nodes = new RedisNodes({
  ...{ redis: redis.url, upstream: road.url, limit: 40, window: 1000, waiting: 20, timeout: 500 },
})
for (let index = 0; index < NODES; index++) nodes.start(index, { limits: FIRST })
while (road.arrivals.length < 40) await sleep(20)
await sleep(3000)

head(
  'all are replaced by',
  'that may',
  'most in 1 s',
  'most in 3 s',
  'arrivals a second',
  'longest a new node waited, s',
  'refused',
)
for (const { what, to, second, three } of ROLLS) {
  let from = 0
  let end: number | undefined
  let slowest = 0
  const began = performance.now()
  const before = road.arrivals.length
  for (let index = 0; index < NODES; index++) {
    // When the last of the stricter leaves, the looser hold.
    if (to === FIRST && index === NODES - 1) end = road.arrivals.length
    nodes.signal(index, 'SIGTERM')
    nodes.start(index, { limits: to })
    const started = performance.now()
    while (nodes.answered(index) === 0) await sleep(10)
    slowest = Math.max(slowest, performance.now() - started)
    // From the first call of the new version on.
    if (index === 0) from = road.arrivals.length
    if (index < NODES - 1) await sleep(SECONDS * 1000)
  }
  const together = road.arrivals.slice(from, end)
  const rate = (road.arrivals.length - before) / ((performance.now() - began) / 1000)
  row(
    ...[what, `${second} and ${three}`, mostWithin(together, 1000), mostWithin(together, 3000)],
    ...[rate.toFixed(1), (slowest / 1000).toFixed(1), road.refusals.length],
  )
  await sleep(3500)
}
