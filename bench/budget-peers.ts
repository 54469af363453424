/**
 * What arrives at an upstream that takes 50 calls in any second, when one limiter after the other is saturated.
 * `node bench/budget-peers.ts [--seconds 60] [--stall 5000,150]...`.
 *
 * Real sockets and real time. The upstream is the simulator in a process of its own, which counts arrivals: calls travel
 * 25 ± 15 ms to it, and for the last part of each period of `--stall` (milliseconds of the period, of the part) the way is
 * shut. Each limiter gets a fresh one.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Bottleneck from 'bottleneck'
import PQueue from 'p-queue'
import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible'
import { memoryMeters } from '../packages/gateway/src/backend/memory/meters.ts'
import { createBudget } from '../packages/gateway/src/budget/budget.ts'
import type { UpstreamRequest } from '../packages/gateway/src/call.ts'
import { systemClock } from '../packages/gateway/src/clock.ts'
import { createPool, type UpstreamPool } from '../packages/gateway/src/pool/pool.ts'

const LIMIT = 50
const WINDOW = 1000
/** Enough that some always wait. */
const CALLERS = 200
/** How long each runs before what is served counts, in milliseconds. */
const WARM = 3000
const KEY = 'jup_bench'

/** Runs a call when it may start. */
type Limiter = <Result>(call: () => Promise<Result>) => Promise<Result>

const LIMITERS: readonly (readonly [name: string, make: () => Limiter])[] = [
  ['Weir', () => weir(false)],
  ['Weir, paced', () => weir(true)],
  [
    'Bottleneck, reservoir of 50 each second',
    () => {
      const limiter = new Bottleneck({
        reservoir: LIMIT,
        reservoirRefreshAmount: LIMIT,
        reservoirRefreshInterval: WINDOW,
      })
      return (call) => limiter.schedule(call)
    },
  ],
  [
    'Bottleneck, minTime 20',
    () => {
      const limiter = new Bottleneck({ minTime: WINDOW / LIMIT })
      return (call) => limiter.schedule(call)
    },
  ],
  [
    'p-queue, intervalCap 50',
    () => {
      const queue = new PQueue({ interval: WINDOW, intervalCap: LIMIT })
      return (call) => queue.add(call)
    },
  ],
  [
    'p-queue, strict',
    () => {
      const queue = new PQueue({ interval: WINDOW, intervalCap: LIMIT, strict: true })
      return (call) => queue.add(call)
    },
  ],
  [
    'rate-limiter-flexible, queue',
    () => {
      const queue = new RateLimiterQueue(new RateLimiterMemory({ points: LIMIT, duration: WINDOW / 1000 }))
      return async (call) => {
        await queue.removeTokens(1)
        return call()
      }
    },
  ],
]

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    stall: { type: 'string', multiple: true, default: ['5000,150'] },
  },
})
const seconds = Number(values.seconds)
if (!(seconds > 0)) throw new Error(`--seconds: expected a number above 0, got "${values.seconds}"`)

process.stdout.write(
  `Node ${process.versions.node}, ${process.platform} ${process.arch}; ${seconds} s each; stalls ${values.stall.join(' and ')}\n\n`,
)
process.stdout.write('| limiter | most in any second | refused (429) | served a second | of the reachable rate |\n')
process.stdout.write('| :------ | -----------------: | ------------: | --------------: | --------------------: |\n')
for (const [name, make] of LIMITERS) {
  const { mostIn1s, refused, served, answerTime } = await saturate(make(), seconds * 1000)
  const rate = served / seconds
  const reachable = (LIMIT * 1000) / (WINDOW + answerTime)
  const cells = [name, mostIn1s, refused, rate.toFixed(1), `${((100 * rate) / reachable).toFixed(0)} %`]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}
process.exit()

function weir(pace: boolean): Limiter {
  const limits = [{ limit: LIMIT, window: WINDOW, by: 'account' as const }]
  const plan = { limits, keys: 1, pastUsage: 'none' as const, pace }
  const meter = memoryMeters(systemClock).open('jupiter', plan)
  const parts = {
    upstream: 'jupiter',
    plan,
    meter,
    clock: systemClock,
    emit: () => {},
    concurrency: CALLERS,
    keys: [KEY],
  }
  const budget = createBudget(parts)
  return async (call) => {
    const { monotonic } = systemClock
    const deadline = monotonic() + 60_000
    const start = { priority: 'interactive' as const, client: 'bench', cost: 1, deadline, signal: undefined }
    const started = await budget.enter(start)
    return call().finally(() => started.end())
  }
}

interface Seen {
  readonly mostIn1s: number
  readonly refused: number
  readonly served: number
  /** Of one call, from its start to its answer, in milliseconds. */
  readonly answerTime: number
}

async function saturate(limiter: Limiter, duration: number): Promise<Seen> {
  const upstream = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../packages/simulators/src/main.ts'),
      ...['jupiter', '--strict', '--key', `${KEY}=bench`, '--travel', '25,15'],
      ...values.stall.flatMap((stall) => ['--stall', stall]),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const [line] = await once(createInterface(upstream.stdout), 'line')
  const { url }: { url: string } = JSON.parse(String(line))
  const pool = openPool(url)
  try {
    return await drive(limiter, pool, url, duration)
  } finally {
    await pool.close()
    upstream.kill()
    await once(upstream, 'exit')
  }
}

/** Counts what is served once the first burst is over, which is more than can be kept up. */
async function drive(limiter: Limiter, pool: UpstreamPool, url: string, duration: number): Promise<Seen> {
  const underWay = new Set<Promise<void>>()
  let over = false
  let calls = 0
  let answering = 0
  const ask = async () => {
    const at = systemClock.monotonic()
    await pool.send(request())
    calls += 1
    answering += systemClock.monotonic() - at
  }
  const caller = async () => {
    while (!over) {
      await limiter(async () => {
        if (over) return
        const asked = ask()
        underWay.add(asked)
        await asked.finally(() => underWay.delete(asked))
      })
    }
  }
  for (let i = 0; i < CALLERS; i++) void caller()
  await sleep(WARM)
  const before = await statsOf(url)
  await sleep(duration)
  const { mostIn1s, refused, served } = await statsOf(url)
  over = true
  await Promise.all(underWay)
  return { mostIn1s, refused, served: served - before.served, answerTime: answering / calls }
}

async function statsOf(url: string): Promise<Pick<Seen, 'mostIn1s' | 'refused' | 'served'>> {
  const response = await fetch(`${url}/__stats`)
  return JSON.parse(await response.text())
}

function openPool(url: string): UpstreamPool {
  const limits = { connections: CALLERS, timeout: 10_000, maxResponse: 1_000_000 }
  return createPool({ upstream: 'jupiter', url, ...limits, clock: systemClock, emit: () => {} })
}

function request(): UpstreamRequest {
  return {
    method: 'GET',
    path: '/price/v3?ids=So11111111111111111111111111111111111111112',
    headers: { 'x-api-key': KEY },
    body: undefined,
    priority: 'interactive',
    client: 'bench',
    deadline: systemClock.monotonic() + 10_000,
    signal: undefined,
    cost: 1,
    apiKey: KEY,
  }
}
