import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { memoryMeters } from '../backend/memory/meters.ts'
import type { Meter, MeterPlan } from '../backend/ports.ts'
import { type UpstreamAnswer, type UpstreamRequest, Urgency } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { WeirEvent } from '../events.ts'
import { rateLimitReader } from '../rate-limit-signal.ts'
import { readApiRateLimits } from '../upstream/rate-limits.ts'
import { type BudgetParts, createBudget } from './budget.ts'
import { longestCall } from './running-calls.ts'

/** Of an upstream that says in its own way that the limit of a lane is reached, or that a key is used up. */
const rateLimits = rateLimitReader(
  ({ headers }) => ({ ofLane: headers['x-ratelimit-method-remaining'] === '-1' }),
  readApiRateLimits,
)

interface Started {
  readonly request: UpstreamRequest
  readonly at: number
  answer(status?: number, headers?: Readonly<Record<string, string>>, body?: string): void
  hand(answer: UpstreamAnswer): void
  fail(error: Error): void
}

interface Opening extends Partial<Pick<MeterPlan, 'limits' | 'pastUsage'> & Pick<BudgetParts, 'keys' | 'concurrency'>> {
  readonly wrap?: (meter: Meter) => Meter
  /** Each call is answered so many milliseconds after it started; by hand when this is not given. */
  readonly answers?: number
}

function open(given: Opening = {}) {
  const {
    limits = [{ limit: 2, window: 1000, by: 'account' }],
    keys = [],
    concurrency = 100,
    pastUsage = 'none',
  } = given
  const { answers } = given
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const started: Started[] = []
  const plan = { limits, keys: Math.max(1, keys.length), pastUsage }
  const counted = memoryMeters(clock).open('jupiter', plan)
  const meter = given.wrap?.(counted) ?? counted
  const emit = (event: WeirEvent) => void events.push(event)
  const budget = createBudget({ upstream: 'jupiter', meter, plan, clock, emit, concurrency, keys, rateLimits })
  const send = budget.stage((request) => {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>()
    const answer: Started['answer'] = (status = 200, headers = {}, body = '') =>
      resolve({ status, headers, body: Buffer.from(body) })
    if (answers !== undefined) clock.after(answers, answer)
    request.signal?.addEventListener('abort', () => reject(request.signal?.reason))
    started.push({ request, at: clock.monotonic() - start, answer, hand: resolve, fail: reject })
    return promise
  })
  const outcomes: string[] = []
  /** Sends and notes how it ended; `path` names it. */
  const ask = (path: string, rest: Partial<UpstreamRequest> = {}) => {
    send(request({ path, ...rest })).then(
      () => outcomes.push(`${path} answered`),
      (error: Error & { code?: string }) => outcomes.push(`${path} ${error.code ?? error.message}`),
    )
  }
  const paths = () => started.map(({ request }) => request.path)
  return { clock, start, budget, events, started, paths, outcomes, ask, send }
}

describe('a stream', () => {
  test('holds its places until its end', async () => {
    const { clock, budget, send, started } = open({
      limits: [{ limit: 1, window: 1000, by: 'account' }],
      concurrency: 1,
    })
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const stream = { body: new ReadableStream<Uint8Array>(), over }
    const answer = send(request())
    await clock.settle()
    started[0]?.hand({ status: 200, headers: {}, body: Buffer.alloc(0), stream })
    expect((await answer).stream).toBe(stream)
    expect(budget.running).toBe(1)
    void send(request())
    await clock.advance(5000)
    expect(started).toHaveLength(1)
    end()
    await clock.advance(999)
    expect([budget.running, started.length]).toEqual([0, 1])
    await clock.advance(2)
    expect(started).toHaveLength(2)
  })
})

describe('a budget', () => {
  test('starts what there is room for at once, and reports how long each waited', async () => {
    const { clock, ask, paths, budget, events } = open()
    for (const path of ['a', 'b', 'c']) ask(path)
    await clock.settle()
    expect(paths()).toEqual(['a', 'b'])
    expect(budget).toMatchObject({ queued: 1, running: 2 })
    expect(events.filter(({ type }) => type === 'budget.started')).toHaveLength(2)
    expect(events[0]).toMatchObject({ waited: 0, priority: 'interactive' })
  })

  test('starts the next one window after an answer, without being asked again', async () => {
    const { clock, ask, started } = open()
    for (const path of ['a', 'b', 'c']) ask(path)
    await clock.advance(40)
    started[0]?.answer()
    await clock.advance(999)
    expect(started).toHaveLength(2)
    await clock.advance(1)
    expect(started[2]).toMatchObject({ at: 1040, request: { path: 'c' } })
  })

  test('a higher class goes first, also if it came later; inside a class the order is kept', async () => {
    const { clock, ask, started, paths } = open({ limits: [{ limit: 1, window: 1000, by: 'account' }] })
    ask('first')
    ask('background', { priority: 'background' })
    ask('live 1', { priority: 'live' })
    ask('live 2', { priority: 'live' })
    await clock.settle()
    ask('interactive')
    for (let i = 0; i < 5; i++) {
      started[i]?.answer()
      await clock.advance(1000)
    }
    expect(paths()).toEqual(['first', 'interactive', 'live 1', 'live 2', 'background'])
  })

  test('a call that can not start before its deadline is refused at once with over_budget, and takes no place', async () => {
    const { clock, ask, start, started, outcomes, budget, events } = open()
    for (const path of ['a', 'b']) ask(path)
    ask('late', { deadline: start + 300 })
    ask('patient', { deadline: start + 3000 })
    await clock.settle()
    expect(outcomes).toEqual(['late over_budget'])
    expect(budget.queued).toBe(1)
    expect(events).toContainEqual(expect.objectContaining({ type: 'budget.refused', priority: 'interactive' }))
    started[0]?.answer()
    await clock.advance(1000)
    expect(started[2]?.request.path).toBe('patient')
  })

  test('a call that comes after its deadline is refused, even if there is room', async () => {
    const { clock, ask, start, started, outcomes } = open()
    ask('late', { deadline: start })
    await clock.settle()
    expect(outcomes).toEqual(['late over_budget'])
    expect(started).toEqual([])
  })

  test('a call that started in time is not refused for its deadline', async () => {
    const { clock, ask, start, started, outcomes } = open()
    ask('a', { deadline: start + 100 })
    await clock.advance(500)
    started[0]?.answer()
    await clock.settle()
    expect(outcomes).toEqual(['a answered'])
  })

  test('a call that leaves the queue fails with the reason, and the next in line moves up', async () => {
    const { clock, ask, started, paths, outcomes, budget } = open()
    const controller = new AbortController()
    for (const path of ['a', 'b']) ask(path)
    ask('leaver', { signal: controller.signal })
    ask('next')
    await clock.settle()
    controller.abort(new Error('left'))
    await clock.settle()
    expect(outcomes).toEqual(['leaver left'])
    expect(budget.queued).toBe(1)
    started[0]?.answer()
    await clock.advance(1000)
    expect(paths()).toEqual(['a', 'b', 'next'])
  })

  test('a call that was aborted before it came is refused and not counted', async () => {
    const { clock, ask, started, outcomes, budget } = open()
    ask('gone', { signal: AbortSignal.abort(new Error('left')) })
    await clock.settle()
    expect(outcomes).toEqual(['gone left'])
    expect(started).toEqual([])
    expect(budget).toMatchObject({ queued: 0, running: 0 })
  })

  test('no timer is kept for a call that is over', async () => {
    const { clock, ask, started } = open()
    for (const path of ['a', 'b']) ask(path)
    await clock.settle()
    for (const { answer } of started) answer()
    await clock.settle()
    expect(clock.timers).toBe(0)
  })

  test('a herd in one tick keeps within the concurrency', async () => {
    const { clock, ask, started, budget } = open({ limits: [], concurrency: 3 })
    for (let i = 0; i < 50; i++) ask(`${i}`)
    await clock.settle()
    expect(started).toHaveLength(3)
    expect(budget).toMatchObject({ queued: 47, running: 3 })
    started[1]?.answer()
    await clock.settle()
    expect(started).toHaveLength(4)
  })

  test('a failed call makes room for another, as an answered one does', async () => {
    const { clock, ask, started, outcomes, budget } = open({ limits: [], concurrency: 1 })
    ask('a')
    ask('b')
    await clock.settle()
    started[0]?.fail(new Error('reset'))
    await clock.settle()
    expect(outcomes).toEqual(['a reset'])
    expect(started[1]?.request.path).toBe('b')
    expect(budget.running).toBe(1)
  })

  test('a call that was given up may still be on its way: its place comes free later than one that was answered', async () => {
    const { clock, ask, started } = open({ limits: [{ limit: 1, window: 1000, by: 'account' }] })
    const controller = new AbortController()
    ask('given up', { signal: controller.signal })
    ask('next')
    await clock.advance(1)
    controller.abort(new Error('left'))
    await clock.advance(3248)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started[1]?.request.path).toBe('next')
  })

  test('a call that was given up after a long time has arrived, whatever held it up', async () => {
    const { clock, ask, started } = open({ limits: [{ limit: 1, window: 1000, by: 'account' }] })
    ask('given up')
    ask('next')
    await clock.advance(5000)
    started[0]?.fail(new WeirError('upstream_timeout', 'slow'))
    await clock.advance(1249)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started[1]?.request.path).toBe('next')
  })

  test('a call that had less time than answers take says nothing of the upstream: it started too late', async () => {
    const { clock, start, ask, started, outcomes } = open({ limits: [] })
    ask('usual')
    await clock.advance(80)
    started[0]?.answer()
    await clock.settle()
    ask('hasty', { deadline: start + 80 + 79 })
    ask('in time', { deadline: start + 80 + 80 })
    await clock.settle()
    for (const { fail } of started.slice(1)) fail(new WeirError('upstream_timeout', 'slow'))
    await clock.settle()
    expect(outcomes).toEqual(['usual answered', 'hasty over_budget', 'in time upstream_timeout'])
  })

  test('with an unknown past nothing starts for a window, and then in order', async () => {
    const { clock, ask, paths } = open({ pastUsage: 'unknown' })
    for (const path of ['a', 'b', 'c']) ask(path)
    await clock.advance(1000)
    expect(paths()).toEqual([])
    await clock.advance(250)
    expect(paths()).toEqual(['a', 'b'])
  })

  test('a wall clock that jumps changes nothing', async () => {
    const { clock, ask, started } = open()
    for (const path of ['a', 'b', 'c']) ask(path)
    await clock.settle()
    started[0]?.answer()
    clock.jump(10_000)
    await clock.advance(999)
    expect(started).toHaveLength(2)
    clock.jump(-20_000)
    await clock.advance(1)
    expect(started).toHaveLength(3)
  })
})

describe('a 429', () => {
  test('closes the budget until the moment the upstream named', async () => {
    const { clock, ask, started, events, outcomes } = open()
    ask('a')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '3' })
    await clock.settle()
    ask('b')
    await clock.advance(2999)
    expect(outcomes).toEqual(['a answered'])
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started[1]?.request.path).toBe('b')
    expect(events).toContainEqual({
      type: 'budget.closed',
      upstream: 'jupiter',
      for: 3000,
      reason: 'the upstream refused a call',
    })
  })

  const OF_METHOD = { 'retry-after': '3', 'x-ratelimit-method-remaining': '-1', 'x-ratelimit-rps-remaining': '50' }

  test('of one lane closes that lane alone, whatever was declared, and no other waits for it', async () => {
    const { clock, start, ask, started, paths, events, outcomes } = open({ concurrency: 1, limits: [] })
    ask('a1', { lane: 'a' })
    ask('a2', { lane: 'a' })
    ask('a3', { lane: 'a', deadline: start + 3000 })
    ask('b1', { lane: 'b' })
    ask('none')
    await clock.settle()
    started[0]?.answer(429, OF_METHOD)
    await clock.settle()
    // Who waits for it in vain is told so, and so is who comes.
    ask('a4', { lane: 'a', deadline: start + 2999 })
    await clock.settle()
    expect(outcomes.sort()).toEqual(['a1 answered', 'a3 over_budget', 'a4 over_budget'])
    started[1]?.answer()
    await clock.settle()
    started[2]?.answer()
    await clock.advance(2999)
    expect(paths().sort()).toEqual(['a1', 'b1', 'none'])
    await clock.advance(1)
    expect(paths().at(-1)).toBe('a2')
    expect(events).toContainEqual({
      type: 'budget.closed',
      upstream: 'jupiter',
      for: 3000,
      reason: 'the upstream refused a',
    })
  })

  test('of one lane does not shrink the limits of all', async () => {
    const { clock, ask, started } = open({ limits: [{ limit: 10, window: 1000, by: 'account' }] })
    ask('a', { lane: 'a' })
    await clock.settle()
    started[0]?.answer(429, OF_METHOD)
    await clock.advance(1001)
    for (let count = 0; count < 20; count++) ask('b', { lane: 'b' })
    await clock.settle()
    expect(started).toHaveLength(11)
  })

  test('of one lane, to a call without one, closes all', async () => {
    const { clock, ask, started } = open()
    ask('a')
    await clock.settle()
    started[0]?.answer(429, OF_METHOD)
    await clock.settle()
    ask('b', { lane: 'b' })
    await clock.advance(2999)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started).toHaveLength(2)
  })

  test('a second one extends the pause', async () => {
    const { clock, ask, started } = open()
    ask('a')
    ask('b')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '2' })
    await clock.advance(1500)
    started[1]?.answer(429, { 'retry-after': '2' })
    await clock.settle()
    ask('c')
    await clock.advance(1999)
    expect(started).toHaveLength(2)
    await clock.advance(1)
    expect(started).toHaveLength(3)
  })

  test('pauses the key that was refused while the others go on', async () => {
    const { clock, ask, started } = open({ keys: ['k0', 'k1'], limits: [] })
    ask('a')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '5' })
    await clock.settle()
    for (const path of ['b', 'c', 'd']) ask(path)
    await clock.settle()
    expect(started.map(({ request }) => request.apiKey)).toEqual(['k0', 'k1', 'k1', 'k1'])
  })
})

describe('the keys of a budget', () => {
  test('take turns', async () => {
    const { clock, ask, started } = open({ keys: ['k0', 'k1', 'k2'], limits: [] })
    for (let i = 0; i < 7; i++) ask(`${i}`)
    await clock.settle()
    expect(started.map(({ request }) => request.apiKey)).toEqual(['k0', 'k1', 'k2', 'k0', 'k1', 'k2', 'k0'])
  })

  test('without keys none is set', async () => {
    const { clock, ask, started } = open()
    ask('a')
    await clock.settle()
    expect(started[0]?.request.apiKey).toBeUndefined()
  })
})

describe('a budget whose meter answers later, as a shared one does', () => {
  /** The memory meter, whose answers leave only when `answered` lets one go. */
  function openSlow(limit: number, concurrency = 100) {
    const replies: (() => void)[] = []
    let most = 0
    const wrap = (meter: Meter): Meter => ({
      ...meter,
      async acquire(wants) {
        const { promise, resolve } = Promise.withResolvers<void>()
        most = Math.max(most, replies.push(resolve))
        const grants = await meter.acquire(wants)
        await promise
        return grants
      },
    })
    const opened = open({ limits: [{ limit, window: 1000, by: 'account' }], concurrency, wrap })
    const answered = async () => {
      replies.shift()?.()
      await opened.clock.settle()
    }
    return { ...opened, answered, most: () => most }
  }

  test('is asked one question at a time', async () => {
    const { clock, ask, answered, paths, most } = openSlow(10)
    for (const path of ['a', 'b', 'c']) ask(path)
    await clock.settle()
    for (let i = 0; i < 4; i++) await answered()
    expect(paths()).toEqual(['a', 'b', 'c'])
    expect(most()).toBe(1)
  })

  test('gives a grant to the call that is best when it comes', async () => {
    const { clock, ask, answered, paths } = openSlow(10)
    ask('live', { priority: 'live' })
    await clock.settle()
    ask('interactive')
    await answered()
    expect(paths()).toEqual(['interactive'])
    await answered()
    expect(paths()).toEqual(['interactive', 'live'])
  })

  test('gives a grant back if all calls have left', async () => {
    const { clock, ask, answered, started, outcomes } = openSlow(1)
    const controller = new AbortController()
    ask('a', { signal: controller.signal })
    await clock.settle()
    controller.abort(new Error('left'))
    await answered()
    expect(started).toEqual([])
    ask('b')
    await clock.settle()
    await answered()
    expect(outcomes).toEqual(['a left'])
    expect(started).toHaveLength(1)
  })

  test('the end of a call while the meter is being asked is not forgotten', async () => {
    const { clock, ask, answered, started } = openSlow(1)
    ask('a')
    await clock.settle()
    await answered()
    ask('b')
    await clock.settle()
    // `a` ends after the meter has said that only the end of a call can tell, and before that has come back.
    started[0]?.answer()
    await clock.settle()
    await answered()
    await answered()
    await clock.advance(1000)
    await answered()
    expect(started.map(({ request }) => request.path)).toEqual(['a', 'b'])
  })

  test('keeps within the concurrency', async () => {
    const { clock, ask, answered, started } = openSlow(10, 2)
    for (let i = 0; i < 6; i++) ask(`${i}`)
    await clock.settle()
    for (let i = 0; i < 6; i++) await answered()
    expect(started).toHaveLength(2)
  })
})

describe('an early refusal', () => {
  test('comes at once also for the first that waits, as soon as the wait is known', async () => {
    const { clock, ask, started, send, start } = open()
    ask('a')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '60' })
    await clock.settle()
    const refused = await send(request({ deadline: start + 10_000 })).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'over_budget', retryAfter: expect.closeTo(60_500, -3) })
    expect(clock.monotonic()).toBe(start)
  })

  test.each([
    [1, 5],
    [5, 60],
    [50, 500],
    [7, 23],
  ])('at a limit of %i, with %i before it, names a time after which a try succeeds', async (limit, before) => {
    const { clock, ask, send, outcomes } = open({ limits: [{ limit, window: 1000, by: 'account' }], answers: 80 })
    for (let i = 0; i < before; i++) ask(`${i}`)
    await clock.settle()
    const patience = 1500
    const now = clock.monotonic()
    let retryAfter = 0
    send(request({ deadline: now + patience })).catch((error: WeirError) => {
      retryAfter = error.retryAfter ?? 0
    })
    await clock.settle()
    expect(retryAfter).toBeGreaterThan(patience)
    await clock.advance(retryAfter)
    ask('again', { deadline: clock.monotonic() + patience })
    await clock.advance(patience + 80)
    expect(outcomes).toContain('again answered')
  })

  test('is not made for a call that can start in time: a nearly empty long window delays none', async () => {
    const limits = [
      { limit: 50, window: 1000, by: 'account' },
      { limit: 3000, window: 3_600_000, by: 'account' },
    ] as const
    const { clock, ask, outcomes, start } = open({ limits, answers: 50 })
    for (let i = 0; i < 200; i++) ask('a', { deadline: start + 6000 })
    await clock.advance(6000)
    expect(outcomes.filter((outcome) => outcome === 'a answered')).toHaveLength(200)
  })

  test('is not made for want of connections, however long the window', async () => {
    const limits = [{ limit: 100, window: 86_400_000, by: 'account' }] as const
    const { clock, ask, outcomes, start } = open({ limits, concurrency: 2, answers: 50 })
    for (let i = 0; i < 40; i++) ask('a', { deadline: start + 2000 })
    await clock.advance(2000)
    expect(outcomes).toEqual(Array.from({ length: 40 }, () => 'a answered'))
  })

  test('reckons with what calls cost', async () => {
    const limits = [{ limit: 1000, window: 1000, by: 'account' }] as const
    const { clock, ask, outcomes, start } = open({ limits, answers: 50 })
    for (let i = 0; i < 10; i++) ask('large', { cost: 500 })
    ask('hurried', { cost: 500, deadline: start + 3000 })
    await clock.settle()
    expect(outcomes).toEqual(['hurried over_budget'])
  })
})

describe('a crowd', () => {
  /** When 999 clients with one call each start, after another has asked so often. Milliseconds. */
  async function startsOfLight(crowd: number): Promise<readonly number[]> {
    const { clock, ask, started } = open({ limits: [{ limit: 50, window: 1000, by: 'account' }], answers: 50 })
    for (let i = 0; i < crowd; i++) ask('crowd', { client: 'crowd' })
    for (let i = 0; i < 999; i++) ask('light', { client: `${i}` })
    await clock.advance(50_000)
    return started.filter(({ request }) => request.path === 'light').map(({ at }) => at)
  }

  test('of 10,000 calls by one client does not keep 999 others waiting twice as long', async () => {
    const p99 = (times: readonly number[]) => times[Math.floor(times.length * 0.99)] ?? Number.POSITIVE_INFINITY
    const alone = await startsOfLight(0)
    const beside = await startsOfLight(10_000)
    expect([alone.length, beside.length]).toEqual([999, 999])
    expect(p99(beside)).toBeLessThanOrEqual(2 * p99(alone))
  })

  test('of higher classes does not stop the others: under 1.5 times the load each of them still moves', async () => {
    const { clock, ask, outcomes } = open({ limits: [{ limit: 20, window: 1000, by: 'account' }], answers: 20 })
    const patience = 5000
    for (let tick = 0; tick < 600; tick++) {
      const deadline = clock.monotonic() + patience
      for (let i = 0; i < 3; i++) ask('interactive', { client: `${tick % 7}`, deadline })
      if (tick % 10 === 0) ask('live', { priority: 'live', deadline })
      if (tick % 10 === 5) ask('background', { priority: 'background', deadline })
      await clock.advance(100)
    }
    const count = (outcome: string) => outcomes.filter((one) => one === outcome).length
    expect(count('interactive answered')).toBeGreaterThan(60 * 12)
    expect(count('live answered')).toBeGreaterThan(45)
    expect(count('background answered')).toBeGreaterThan(45)
  })
})

describe('a call that becomes more urgent', () => {
  test('while it waits moves up, and is reported as what it is now', async () => {
    const { clock, ask, started, paths, events } = open({ limits: [{ limit: 1, window: 1000, by: 'account' }] })
    const urgency = new Urgency('background')
    ask('first')
    ask('live', { priority: 'live' })
    ask('shared', { priority: 'background', urgency })
    await clock.settle()
    urgency.raise('interactive')
    started[0]?.answer()
    await clock.advance(1000)
    expect(paths()).toEqual(['first', 'shared'])
    expect(events.at(-1)).toMatchObject({ type: 'budget.started', priority: 'interactive' })
  })

  test('before it waits comes as what it is', async () => {
    const { clock, ask, events } = open()
    const urgency = new Urgency('background')
    urgency.raise('live')
    ask('shared', { priority: 'background', urgency })
    await clock.settle()
    expect(events).toMatchObject([{ type: 'budget.started', priority: 'live' }])
  })
})

describe('the lanes of a budget', () => {
  const apart = { limit: 1, window: 1000, by: 'account', lane: '*' } as const
  const all = { limit: 50, window: 1000, by: 'account' } as const

  test('one that is full does not hold up the others, nor make them be refused', async () => {
    const { clock, ask, paths, outcomes, start } = open({ limits: [all, { ...apart, window: 60_000 }], answers: 10 })
    for (const path of ['a1', 'a2', 'a3']) ask(path, { lane: 'a' })
    await clock.advance(100)
    for (const lane of ['b', 'c', 'd']) ask(lane, { lane, deadline: start + 300 })
    await clock.advance(100)
    expect(paths()).toEqual(['a1', 'b', 'c', 'd'])
    expect(outcomes).not.toContain('b over_budget')
  })

  test('together keep within the concurrency', async () => {
    const { clock, ask, budget } = open({ limits: [all, apart], concurrency: 2 })
    for (const lane of ['a', 'b', 'c', 'd', 'e']) ask(lane, { lane })
    await clock.settle()
    expect(budget).toMatchObject({ running: 2, queued: 3 })
  })

  test('higher classes of one do not keep out another for ever', async () => {
    const limits = [
      { ...all, limit: 10 },
      { ...apart, limit: 10 },
    ]
    const { clock, ask, outcomes } = open({ limits, answers: 10 })
    for (let i = 0; i < 20; i++) ask('low', { lane: 'low', priority: 'background' })
    for (let tick = 0; tick < 200; tick++) {
      for (let i = 0; i < 2; i++) ask('high', { lane: 'high', deadline: clock.monotonic() + 5000 })
      await clock.advance(100)
    }
    expect(outcomes.filter((outcome) => outcome === 'low answered').length).toBeGreaterThan(15)
  })

  test('are one where the upstream counts nothing separately', async () => {
    const { clock, ask, paths } = open()
    ask('b', { lane: 'b', priority: 'background' })
    ask('a', { lane: 'a', priority: 'background' })
    ask('c', { lane: 'c' })
    await clock.settle()
    expect(paths()).toEqual(['b', 'c'])
  })
})

describe('costs', () => {
  const limits = [{ limit: 100, window: 1000, by: 'account' }] as const

  test('are estimated, and corrected by the answer', async () => {
    const { clock, ask, started, paths } = open({ limits })
    ask('a', { cost: 90, costOf: ({ headers }) => Number(headers['x-cost']) })
    ask('b', { cost: 50 })
    await clock.settle()
    expect(paths()).toEqual(['a'])
    started[0]?.answer(200, { 'x-cost': '20' })
    await clock.settle()
    expect(paths()).toEqual(['a', 'b'])
  })

  test('that were estimated too low hold up the next until a window after the answer', async () => {
    const { clock, ask, started } = open({ limits })
    ask('a', { cost: 10, costOf: () => 95 })
    await clock.settle()
    started[0]?.answer()
    await clock.settle()
    ask('b', { cost: 10 })
    await clock.advance(999)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started).toHaveLength(2)
  })

  test('that never fit are refused, and hold up no other', async () => {
    const { clock, ask, paths, outcomes } = open({ limits })
    ask('huge', { cost: 101 })
    ask('small', { cost: 1 })
    await clock.settle()
    expect(outcomes).toEqual(['huge over_budget'])
    expect(paths()).toEqual(['small'])
  })
})

describe('an unknown past of a long window', () => {
  const limits = [{ limit: 1000, window: 86_400_000, by: 'account' }] as const

  test('is seeded by what the first answer says is left', async () => {
    const { clock, ask, started, paths } = open({ limits, pastUsage: 'unknown' })
    for (const path of ['probe', 'a', 'b', 'c', 'd']) ask(path)
    await clock.advance(500)
    expect(paths()).toEqual(['probe'])
    started[0]?.answer(200, { 'x-ratelimit-remaining': '3' })
    await clock.settle()
    expect(paths()).toEqual(['probe', 'a', 'b', 'c'])
  })

  test('is seeded by calls and tokens, as language models name them', async () => {
    const tokens = { limit: 1_000_000, window: 86_400_000, by: 'account', counts: 'cost' } as const
    const both = [{ ...limits[0], counts: 'calls' }, tokens] as const
    const { clock, ask, started, paths } = open({ limits: both, pastUsage: 'unknown' })
    for (const path of ['probe', 'a', 'b', 'c', 'd']) ask(path, { cost: 200 })
    await clock.advance(500)
    started[0]?.answer(200, { 'x-ratelimit-remaining-requests': '900', 'x-ratelimit-remaining-tokens': '500' })
    await clock.settle()
    expect(paths()).toEqual(['probe', 'a', 'b'])
  })

  test('that no answer reveals is asked one call at a time, and refuses no call for that', async () => {
    const { clock, ask, outcomes, start } = open({ limits, pastUsage: 'unknown', answers: 50 })
    for (let i = 0; i < 10; i++) ask('a', { deadline: start + 5000 })
    await clock.advance(499)
    expect(outcomes).toHaveLength(9)
    await clock.advance(1)
    expect(outcomes).toEqual(Array.from({ length: 10 }, () => 'a answered'))
  })
})

describe('a cost that never fits in the windows of its lane', () => {
  test('is refused, and not a larger one of another lane that does fit', async () => {
    const all = { limit: 100, window: 1000, by: 'account' } as const
    const { clock, ask, paths, outcomes } = open({ limits: [all, { ...all, limit: 5, lane: 'small' }], concurrency: 1 })
    ask('first', { lane: 'other' })
    ask('large', { cost: 30, lane: 'large' })
    ask('small', { cost: 20, lane: 'small' })
    await clock.settle()
    expect(paths()).toEqual(['first'])
    expect(outcomes).toEqual(['small over_budget'])
  })
})

describe('keys that are used up', () => {
  const SPENT = '{"error":{"code":"insufficient_quota"}}'
  const limits = [{ limit: 1, window: 1000, by: 'key' }] as const

  test('if the last one is, all waiting calls fail at once, and so do later ones', async () => {
    const { clock, ask, started, outcomes, budget } = open({ keys: ['k0', 'k1'], limits })
    for (let i = 0; i < 6; i++) ask(`${i}`)
    await clock.settle()
    started[0]?.answer(429, {}, SPENT)
    await clock.settle()
    expect(outcomes).toEqual(['0 answered'])
    started[1]?.answer(429, {}, SPENT)
    await clock.settle()
    const failed = ['2', '3', '4', '5'].map((path) => `${path} upstream_quota_exhausted`)
    expect(outcomes.slice(1).sort()).toEqual(['1 answered', ...failed].sort())
    ask('late')
    await clock.settle()
    expect(outcomes.at(-1)).toBe('late upstream_quota_exhausted')
    expect(budget).toMatchObject({ queued: 0, running: 0 })
    expect(clock.timers).toBe(0)
  })

  test('are never used again, and nothing is paused for them', async () => {
    const { clock, ask, started, events } = open({ keys: ['k0', 'k1'], limits })
    ask('a')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '1' }, SPENT)
    await clock.settle()
    for (let i = 0; i < 5; i++) {
      ask(`${i}`)
      await clock.advance(1000)
      started.at(-1)?.answer()
      await clock.advance(1000)
    }
    expect(started.slice(1).map(({ request }) => request.apiKey)).toEqual(['k1', 'k1', 'k1', 'k1', 'k1'])
    expect(events.filter(({ type }) => type === 'budget.closed')).toMatchObject([{ reason: 'key 1 is used up' }])
  })
})

describe('a 429 on one of several keys', () => {
  test('pauses all where the account is counted', async () => {
    const limits = [{ limit: 50, window: 1000, by: 'account' }] as const
    const { clock, ask, started } = open({ keys: ['k0', 'k1'], limits })
    ask('a')
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '5' })
    await clock.settle()
    ask('b')
    await clock.advance(4999)
    expect(started).toHaveLength(1)
    await clock.advance(1)
    expect(started).toHaveLength(2)
  })

  test('and then on the other: they are paused in turn, and the first to be paused works first', async () => {
    const { clock, ask, started } = open({ keys: ['k0', 'k1'], limits: [{ limit: 50, window: 1000, by: 'key' }] })
    for (const path of ['a', 'b']) ask(path)
    await clock.settle()
    started[0]?.answer(429, { 'retry-after': '5' })
    started[1]?.answer(429, { 'retry-after': '3' })
    await clock.settle()
    ask('c')
    await clock.advance(2999)
    expect(started).toHaveLength(2)
    await clock.advance(1)
    expect(started[2]?.request.apiKey).toBe('k1')
    await clock.advance(2000)
    for (const path of ['d', 'e']) ask(path)
    await clock.settle()
    expect(started.slice(3).map(({ request }) => request.apiKey)).toEqual(['k0', 'k1'])
  })
})

describe('a budget on a shared meter', () => {
  test('a meter that can not be reached is asked again, and deadlines still refuse', async () => {
    let reachable = false
    const { clock, start, ask, outcomes, paths, events } = open({
      wrap: (meter) => ({
        ...meter,
        acquire: (wants) => (reachable ? meter.acquire(wants) : Promise.reject(new Error('away'))),
      }),
    })
    ask('hasty', { deadline: start + 500 })
    ask('patient', { deadline: start + 10_000 })
    await clock.advance(600)
    expect(outcomes).toEqual(['hasty over_budget'])
    expect(events.some((event) => event.type === 'failed' && event.where === 'meter of jupiter')).toBe(true)
    reachable = true
    await clock.advance(200)
    expect(paths()).toEqual(['patient'])
  })

  test('a grant for later is not used before its moment, and no second one is taken for the same call', async () => {
    let given = 0
    const cancelled: number[] = []
    const { clock, ask, started } = open({
      wrap: (meter) => ({
        ...meter,
        acquire: async (wants) => {
          const { granted, wait } = await meter.acquire(wants)
          given += granted.length
          const later = granted.map((grant) => ({
            ...grant,
            notBefore: grant.notBefore + 40,
            expiresAt: grant.notBefore + 100,
          }))
          return { granted: later, wait }
        },
        cancel: (grant) => {
          cancelled.push(grant.id)
          meter.cancel(grant)
        },
      }),
      limits: [{ limit: 9, window: 1000, by: 'account' }],
    })
    ask('a')
    ask('b')
    await clock.advance(39)
    expect(started).toHaveLength(0)
    await clock.advance(1)
    expect(started.map(({ at }) => at)).toEqual([40, 40])
    expect(given).toBe(2)
    expect(cancelled).toEqual([])
  })
})

test('a call may be on its way until its timeout, or until the network lets it through, and a little longer', () => {
  expect(longestCall(400, 2000)).toBe(2250)
  expect(longestCall(10_000, 2000)).toBe(10_250)
})
