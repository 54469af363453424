/**
 * How many starts a second the fair queue and the memory meter decide on one core. `node bench/scheduler.ts`.
 *
 * Ten thousand calls of a thousand clients wait all the time: whenever one starts, its client asks again. CPU time is
 * counted, and each round is long enough for a collection or two.
 */
import { memoryMeters } from '../packages/gateway/src/backend/memory/meters.ts'
import type { Meter } from '../packages/gateway/src/backend/ports.ts'
import { createQueue, type FairQueue } from '../packages/gateway/src/budget/queue.ts'
import { systemClock } from '../packages/gateway/src/clock.ts'

const WAITING = 10_000
const CLIENTS = 1000
const STARTS = 500_000
const ROUNDS = 9
const PRIORITIES = ['interactive', 'live', 'background'] as const

const limits = [{ limit: 1e9, window: 1000, by: 'account' as const }]
const meter = memoryMeters(systemClock).open('upstream', { limits, keys: 1, pastUsage: 'none' })
const rows = [
  ['one class', () => PRIORITIES[0]],
  ['three classes', (index: number) => PRIORITIES[index % 3] ?? PRIORITIES[0]],
] as const

process.stdout.write(`Node ${process.versions.node}, ${process.platform} ${process.arch}\n\n`)
process.stdout.write('| waiting | clients | in | starts a second of CPU time | slowest round |\n')
process.stdout.write('| ------: | ------: | :- | --------------------------: | ------------: |\n')
for (const [name, priorityOf] of rows) {
  const queue = createQueue<number>()
  for (let index = 0; index < WAITING; index++) add(queue, index, priorityOf(index))
  start(queue, STARTS)
  const rates = Array.from({ length: ROUNDS }, () => STARTS / cpuSeconds(() => start(queue, STARTS))).sort(
    (a, b) => a - b,
  )
  const shown = [WAITING, CLIENTS].map((count) => count.toLocaleString('en'))
  process.stdout.write(`| ${[...shown, name, round(rates[ROUNDS >> 1]), round(rates[0])].join(' | ')} |\n`)
}

function add(queue: FairQueue<number>, index: number, priority: (typeof PRIORITIES)[number]): void {
  queue.add(index, priority, `client ${index % CLIENTS}`, systemClock.monotonic())
}

/** What the budget does for each start, without the promises around it. */
function start(queue: FairQueue<number>, count: number): void {
  for (let i = 0; i < count; i++) decide(queue, meter)
}

function decide(queue: FairQueue<number>, { acquire, release }: Meter): void {
  const place = queue.best(systemClock.monotonic())
  if (place === undefined) throw new Error('expected somebody to wait')
  const { priority, item } = place
  const asked = acquire([{ priority, cost: 1, lane: '' }])
  const grant = asked instanceof Promise ? undefined : asked.granted[0]
  if (grant === undefined) throw new Error('expected a grant at once')
  queue.start(place)
  release(grant)
  add(queue, item, priority)
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function round(rate = 0): string {
  return (Math.round(rate / 1000) * 1000).toLocaleString('en')
}
