import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { memoryMeters } from '../backend/memory/meters.ts'
import type { UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { WeirError } from '../errors.ts'
import { createBudget } from './budget.ts'

const TIMEOUT = 500
const CONCURRENCY = 10

/** A budget before an upstream that answers after 5 ms, and never what is named `hang`: such a call is given up after its timeout. */
function open({ calls = 200, stall = 2000 } = {}) {
  const clock = new ManualClock()
  const plan = { limits: [{ limit: calls, window: 1000, by: 'account' }], keys: 1, pastUsage: 'none' } as const
  const meter = memoryMeters(clock).open('source', plan)
  const emit = () => {}
  const budget = createBudget({
    upstream: 'source',
    meter,
    plan,
    clock,
    emit,
    concurrency: CONCURRENCY,
    keys: [],
    stall,
  })
  const alone = new Map<string, boolean>()
  let hanging = 0
  let most = 0
  const send = budget.stage(async ({ path, alone: goesAlone = false }) => {
    alone.set(path, goesAlone)
    const hangs = path.includes('hang')
    if (hangs) hanging += 1
    most = Math.max(most, hanging)
    await new Promise<void>((resolve) => void clock.after(hangs ? TIMEOUT : 5, resolve))
    if (!hangs) return { status: 200, headers: {}, body: Buffer.alloc(0) } satisfies UpstreamAnswer
    hanging -= 1
    throw new WeirError('upstream_timeout', 'no whole answer')
  })
  /** How long each took that was answered, in milliseconds; -1 for others. */
  const took: Record<string, number[]> = {}
  const ask = (path: string, answerable: boolean, rest: Partial<UpstreamRequest> = {}) => {
    const from = clock.monotonic()
    const { client = 'a' } = rest
    took[client] ??= []
    const of = took[client]
    const deadline = from + 10_000
    send(request({ path, deadline, history: { key: path, answerable }, ...rest })).then(
      () => of.push(clock.monotonic() - from),
      () => of.push(-1),
    )
  }
  return { clock, budget, ask, alone, took, most: () => most }
}

const watched = { client: 'poller', priority: 'live' } as const

/** One client asks for what hangs, 20 times a second; watched values and new ones of another client are asked for beside it. */
async function run(site: ReturnType<typeof open>, seconds: number, bad = 20): Promise<void> {
  const { clock, ask } = site
  for (let tick = 0; tick < seconds * 20; tick++) {
    for (let index = 0; index < bad / 20; index++) ask(`/hang${tick}.${index}`, false, { client: 'bad' })
    if (tick % 4 === 0) ask(`/new${tick}`, false, { client: 'good' })
    if (tick % 10 === 0) for (let index = 0; index < 6; index++) ask(`/watched${index}`, true, watched)
    await clock.advance(50)
  }
}

describe('beside a client whose calls hang', () => {
  test('watched values and the new ones of other clients start at once', async () => {
    const site = open()
    await run(site, 20)
    expect(site.took.poller).toHaveLength(240)
    expect(Math.max(...(site.took.poller ?? []))).toBeLessThan(20)
    expect(site.took.good).not.toContain(-1)
    expect(site.took.good?.length).toBeGreaterThan(95)
    expect(Math.max(...(site.took.good?.slice(10) ?? []))).toBeLessThan(50)
  })

  test('they keep the rate too, where calls that were given up count for longer', async () => {
    const site = open({ calls: 50 })
    await run(site, 20)
    expect(Math.max(...(site.took.poller ?? []))).toBeLessThan(20)
    expect(site.took.good).not.toContain(-1)
  })

  test('a herd of them at once leaves one call of five free, and then half of them', async () => {
    const site = open()
    site.ask('/watched0', true, watched)
    for (let index = 0; index < 100; index++) site.ask(`/hang${index}`, false, { client: 'bad' })
    for (let index = 1; index < 6; index++) site.ask(`/watched${index}`, true, watched)
    await site.clock.advance(20)
    expect(site.most()).toBe(8)
    expect(site.took.poller).toHaveLength(6)
    await site.clock.advance(TIMEOUT)
    expect(site.budget.running).toBe(5)
  })

  test('its calls share no array, and those of others may', async () => {
    const site = open()
    site.ask('/watched', true, watched)
    site.ask('/hang', false, { client: 'bad' })
    await site.clock.advance(100)
    site.ask('/watched', true, watched)
    await site.clock.advance(TIMEOUT)
    site.ask('/new', false, { client: 'bad' })
    site.ask('/other', false, { client: 'good' })
    await site.clock.advance(10)
    expect([site.alone.get('/new'), site.alone.get('/other')]).toEqual([true, false])
    await site.clock.advance(30_000)
    site.ask('/newer', false, { client: 'bad' })
    await site.clock.advance(10)
    expect(site.alone.get('/newer')).toBe(false)
  })
})

test('a watched value that hangs does not hold up the others', async () => {
  const site = open()
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 20; index++) site.ask(`/hang${index}`, false, watched)
    for (let index = 0; index < 6; index++) site.ask(`/watched${index}`, true, { ...watched, client: 'other poller' })
    await site.clock.advance(1000)
  }
  expect(Math.max(...(site.took['other poller'] ?? []))).toBeLessThan(20)
})

test('where no call is answered, no client is to blame', async () => {
  const site = open()
  for (let index = 0; index < 8; index++) site.ask(`/hang${index}`, false, { client: 'a' })
  await site.clock.advance(TIMEOUT + 10)
  site.ask('/new', false, { client: 'a' })
  await site.clock.advance(10)
  expect(site.alone.get('/new')).toBe(false)
})

test.each([
  ['requests that never had an answer may take all calls', [], false, 10],
  ['where there are requests that had one, all but one of five', ['/known'], false, 8],
  ['those that had one may take all', ['/known'], true, 10],
] as const)('without hanging calls %s', async (_, known, answerable, most) => {
  const { clock, budget, ask, took } = open()
  for (const path of known) ask(path, true, { client: 'b' })
  await clock.advance(100)
  for (let index = 0; index < 50; index++) ask(`/new${index}`, answerable)
  await clock.settle()
  expect(budget.running).toBe(most)
  await clock.advance(100)
  expect(took.a).toHaveLength(50)
})
