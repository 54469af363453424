/**
 * What it costs to count calls that were given up for as long as the network may hold them up.
 * `node bench/abandoned.ts`.
 *
 * A simulated minute each. An upstream takes 50 calls in any second and answers after 50 ms; 200 callers always want more, and
 * some of them give up 20 ms after the start of their call.
 */
import { memoryMeters } from '../packages/gateway/src/backend/memory/meters.ts'
import { createBudget } from '../packages/gateway/src/budget/budget.ts'
import { ManualClock } from '../packages/gateway/test/manual-clock.ts'

const LIMIT = 50
const WINDOW = 1000
const MINUTE = 60_000
const CALLERS = 200
const ANSWER = 50
const GIVEN_UP = 20

process.stdout.write('| given up of all calls | stall 0 | stall 500 ms | stall 2 s |\n')
process.stdout.write('| --------------------: | ------: | -----------: | --------: |\n')
for (const share of [0, 0.01, 0.05, 0.1, 0.5]) {
  const rates: string[] = []
  for (const stall of [0, 500, 2000]) rates.push((await started(share, stall)).toFixed(1))
  process.stdout.write(`| ${share * 100} % | ${rates.join(' | ')} |\n`)
}

/** Starts a second. */
async function started(share: number, stall: number): Promise<number> {
  const clock = new ManualClock()
  const limits = [{ limit: LIMIT, window: WINDOW, by: 'account' as const }]
  const plan = { limits, keys: 1, pastUsage: 'none' as const }
  const meter = memoryMeters(clock).open('upstream', plan)
  const parts = { upstream: 'upstream', meter, plan, clock, emit: () => {}, concurrency: CALLERS, keys: [] }
  const budget = createBudget({ ...parts, stall })
  let calls = 0
  let over = false
  const caller = async () => {
    while (!over) {
      const deadline = clock.monotonic() + MINUTE
      const start = { priority: 'interactive' as const, client: 'bench', cost: 1, deadline, signal: undefined }
      const grant = await budget.enter(start)
      calls += 1
      const arrived = Math.floor(calls * share) === Math.floor((calls - 1) * share)
      await new Promise<void>((resolve) => {
        clock.after(arrived ? ANSWER : GIVEN_UP, resolve)
      })
      grant.end({ arrived })
    }
  }
  for (let i = 0; i < CALLERS; i++) void caller()
  await clock.advance(10_000)
  const before = calls
  await clock.advance(MINUTE)
  over = true
  return ((calls - before) * 1000) / MINUTE
}
