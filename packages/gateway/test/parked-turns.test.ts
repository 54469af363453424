import { expect, test } from 'vitest'
import { memoryMeters } from '../src/backend/memory/meters.ts'
import { createBudget } from '../src/budget/budget.ts'
import type { UpstreamAnswer } from '../src/call.ts'
import { ManualClock } from './manual-clock.ts'
import { request } from './request.ts'

/** A client with a long backlog of new keys; another asks for one new key now and then. Clients take turns. */
test.each([1, 2, 5, 10])(
  'clients take turns among calls that wait for others to end, concurrency %i',
  async (concurrency) => {
    const clock = new ManualClock()
    const plan = { limits: [], keys: 1, pastUsage: 'none' } as const
    const budget = createBudget({
      upstream: 'source',
      meter: memoryMeters(clock).open('source', plan),
      plan,
      clock,
      emit: () => {},
      concurrency,
      keys: [],
    })
    const send = budget.stage(async () => {
      await new Promise<void>((resolve) => void clock.after(20, resolve))
      return { status: 200, headers: {}, body: Buffer.alloc(0) } satisfies UpstreamAnswer
    })
    const took: number[] = []
    const ask = (client: string, path: string) => {
      const from = clock.monotonic()
      const done = (ok: boolean) => () => client === 'good' && took.push(ok ? clock.monotonic() - from : -1)
      send(request({ path, client, deadline: from + 10_000, history: { key: path, answerable: false } })).then(
        done(true),
        done(false),
      )
    }
    for (let index = 0; index < 600 * concurrency; index++) ask('greedy', `/new${index}`)
    await clock.advance(10)
    for (let tick = 0; tick < 20; tick++) {
      ask('good', `/mine${tick}`)
      await clock.advance(100)
    }
    await clock.advance(12_000)
    expect(Math.max(...took)).toBeLessThan(500)
    expect(took).not.toContain(-1)
  },
)

function open(concurrency: number) {
  const clock = new ManualClock()
  const plan = { limits: [], keys: 1, pastUsage: 'none' } as const
  const meter = memoryMeters(clock).open('source', plan)
  const budget = createBudget({ upstream: 'source', meter, plan, clock, emit: () => {}, concurrency, keys: [] })
  const started: string[] = []
  const send = budget.stage(async ({ path }) => {
    started.push(path)
    await new Promise<void>((resolve) => void clock.after(20, resolve))
    return { status: 200, headers: {}, body: Buffer.alloc(0) } satisfies UpstreamAnswer
  })
  const ask = (path: string, client: string, priority: 'interactive' | 'live' | 'background' = 'interactive') =>
    send(
      request({
        path,
        client,
        priority,
        deadline: clock.monotonic() + 10_000,
        history: { key: path, answerable: false },
      }),
    ).catch(() => started.push(`refused ${path}`))
  return { clock, ask, started }
}

test('calls of a lower class start too while better ones wait for others to end', async () => {
  const { clock, ask, started } = open(2)
  let n = 0
  for (let i = 0; i < 20; i++) void ask(`/new${n++}`, `c${n % 5}`)
  void ask('/live', 'poller', 'live')
  void ask('/background', 'prewarm', 'background')
  for (let tick = 0; tick < 100; tick++) {
    for (let i = 0; i < 9; i++) void ask(`/new${n++}`, `c${n % 5}`)
    await clock.advance(90)
  }
  expect(started).toContain('/live')
  expect(started).toContain('/background')
})

test('calls of one client start in the order in which they came', async () => {
  const { clock, ask, started } = open(3)
  const wanted = Array.from({ length: 60 }, (_, n) => `/new${n}`)
  for (const path of wanted) void ask(path, 'a')
  await clock.advance(2000)
  expect(started).toEqual(wanted)
})
