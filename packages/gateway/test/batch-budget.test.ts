import { expect, test } from 'vitest'
import { z } from 'zod'
import { memoryMeters } from '../src/backend/memory/meters.ts'
import { batch } from '../src/batch/batch.ts'
import { createBudget } from '../src/budget/budget.ts'
import type { UpstreamAnswer } from '../src/call.ts'
import { feed } from '../src/topic/feed/feed.ts'
import { loader } from '../src/topic/feed/loader.ts'
import { http } from '../src/upstream/http.ts'
import { ask } from './ask.ts'
import { ManualClock } from './manual-clock.ts'

test('what is asked beside a late batch is charged to the budget like any call', async () => {
  const LIMIT = 6
  const WINDOW = 60_000
  const clock = new ManualClock()
  const plan = {
    limits: [{ limit: LIMIT, window: WINDOW, by: 'account' as const }],
    keys: 1,
    pastUsage: 'none' as const,
  }
  const meter = memoryMeters(clock).open('jupiter', plan)
  const budget = createBudget({ upstream: 'jupiter', meter, plan, clock, emit: () => {}, concurrency: 100, keys: [] })
  const arrived: string[] = []
  const requests = budget.stage(({ path, signal }) => {
    arrived.push(path)
    return new Promise<UpstreamAnswer>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  })
  const { plan: declared } = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string() },
    value: z.number(),
    from: http({ name: 'jupiter', url: 'http://127.0.0.1' }),
    load: {
      batch: 50,
      many: async (keys, call) => (await call.get(`/${keys.map(({ mint }) => mint).join()}`)) as number[],
    },
  })
  const read = batch({ feed: 'price', most: 50, within: 10, clock, emit: () => {} })(loader(declared, requests, clock))
  const deadline = clock.monotonic() + 20_000
  const answers = Array.from({ length: 8 }, (_, index) => {
    const mint = `m${index}`
    return read(ask({ topic: `/prices/${mint}`, key: { mint }, deadline })).catch(
      (error: { code: string }) => error.code,
    )
  })
  await clock.advance(30_000)
  // The batch, two halves, and of four quarters those that there is room for.
  expect(arrived.map((path) => path.split(',').length)).toEqual([8, 4, 4, 2, 2, 2])
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['upstream_timeout']))
})
