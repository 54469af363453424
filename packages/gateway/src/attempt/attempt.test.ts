import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import { memoryMeters } from '../backend/memory/meters.ts'
import { createBudget } from '../budget/budget.ts'
import type { Height, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { WeirEvent } from '../events.ts'
import { readApiRateLimits } from '../upstream/rate-limits.ts'
import { type AttemptPolicy, attempt } from './attempt.ts'

let asks = 0

/** A unique request of a unique client. */
function another(given: Partial<UpstreamRequest> = {}): UpstreamRequest {
  asks += 1
  return request({ path: `/all?${asks}`, client: `client ${asks}`, ...given })
}

function open(answer: () => Promise<{ status: number; body: string }>) {
  const events: WeirEvent[] = []
  const provider = {
    name: 'jupiter',
    send: async () => {
      const { status, body } = await answer()
      return { status, headers: {}, body: Buffer.from(body) }
    },
  }
  const send = attempt({
    upstream: 'jupiter',
    providers: [provider],
    policy: { retries: 0, hedge: undefined, choose: 'order' },
    clock: new ManualClock(),
    emit: (event) => void events.push(event),
  })
  return { events, send }
}

describe('an attempt', () => {
  test.each([200, 204, 301, 400, 404, 418])(
    'answered with %i returns the answer: the caller interprets it',
    async (status) => {
      const { events, send } = open(async () => ({ status, body: '' }))
      expect((await send(request())).status).toBe(status)
      expect(events).toEqual([])
    },
  )

  test.each([
    [429, 'upstream_limited'],
    [401, 'upstream_refused'],
    [403, 'upstream_refused'],
    [500, 'upstream_failed'],
    [503, 'upstream_failed'],
  ])('answered with %i fails with %s, and quotes the answer on one line', async (status, code) => {
    const { events, send } = open(async () => ({ status, body: `no\n${'x'.repeat(5000)}` }))
    const error = await send(request()).catch((error: unknown) => error)
    expect(error).toMatchObject({
      code,
      upstreamStatus: status,
      message: expect.stringMatching(/^jupiter: answered \d+: no x{197}$/),
    })
    expect(events).toMatchObject([{ type: 'attempt.failed', upstream: 'jupiter', code }])
  })

  test('returns the failing answer if the caller wants it, once no try is left; it still counts as a failure', async () => {
    const { events, send } = open(async () => ({ status: 503, body: 'away' }))
    const answer = await send(request({ passes: (status) => status >= 500 }))
    expect([answer.status, answer.body.toString()]).toEqual([503, 'away'])
    expect(events).toMatchObject([{ type: 'attempt.failed', code: 'upstream_failed' }])
    for (let call = 0; call < 4; call++) await send(another({ passes: () => true }))
    // After five failures the breaker is open, so there is no answer to return.
    await expect(send(another({ passes: () => true }))).rejects.toMatchObject({ code: 'upstream_failed' })
    const limited = open(async () => ({ status: 429, body: '' }))
    await expect(limited.send(request({ passes: (status) => status >= 500 }))).rejects.toMatchObject({
      code: 'upstream_limited',
    })
  })

  test('that failed with a successful status is returned and is no success to the breaker', async () => {
    let status = 500
    const { send } = open(async () => ({ status, body: '' }))
    const fail = () => send(another()).catch(() => {})
    for (let call = 0; call < 4; call++) await fail()
    status = 200
    expect((await send(another({ failed: () => true }))).status).toBe(200)
    status = 500
    await fail()
    // The fifth failure without a success in between.
    await expect(send(another())).rejects.toThrow(/breaker is open/)
  })

  test('that failed below emits an event and rethrows', async () => {
    const failure = new WeirError('upstream_timeout', 'slow')
    const { events, send } = open(() => Promise.reject(failure))
    expect(await send(request()).catch((error: unknown) => error)).toBe(failure)
    expect(events).toMatchObject([{ code: 'upstream_timeout', detail: 'slow' }])
  })

  test('that was aborted is no failure', async () => {
    const { events, send } = open(() => Promise.reject(new Error('left')))
    await expect(send(request({ signal: AbortSignal.abort() }))).rejects.toThrow('left')
    expect(events).toEqual([])
  })
})

interface Asked {
  readonly provider: string
  readonly at: number
  readonly request: UpstreamRequest
  answer(status?: number, headers?: Readonly<Record<string, string>>, height?: Height): void
  fail(error: Error): void
}

/** Providers a, b and c, answered by hand or at once from `says`. */
function openMany(
  policy: Partial<AttemptPolicy> = {},
  given: { names?: readonly string[]; random?: () => number } = {},
) {
  const { names = ['a', 'b', 'c'], random = () => 1 } = given
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const asked: Asked[] = []
  const says = new Map<string, number>()
  const send = attempt({
    upstream: 'all',
    providers: names.map((name) => ({ name, send: (request) => ask(name, request) })),
    policy: { retries: 0, hedge: undefined, choose: 'order', ...policy },
    clock,
    emit: (event) => void events.push(event),
    random,
  })

  function ask(provider: string, request: UpstreamRequest): Promise<UpstreamAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>()
    const answer: Asked['answer'] = (status = 200, headers = {}, height = undefined) =>
      resolve({ status, headers, body: Buffer.from(provider), ...(height === undefined ? {} : { height }) })
    request.signal?.addEventListener('abort', () => reject(request.signal?.reason))
    asked.push({ provider, at: clock.monotonic() - start, request, answer, fail: reject })
    const status = says.get(provider)
    if (status !== undefined) answer(status)
    return promise
  }

  const outcome = (given: Partial<UpstreamRequest> = {}) =>
    send(another(given)).then(
      ({ body }) => body.toString(),
      (error: WeirError) => error.code ?? String(error),
    )
  const order = () => asked.map(({ provider }) => provider)
  return { clock, start, events, asked, says, outcome, order }
}

describe('several providers', () => {
  test.each([
    [500, 'upstream_failed'],
    [429, 'upstream_limited'],
  ] as const)('tries the next at once when one answers %i, and emits the reasons', async (status, code) => {
    const { says, outcome, order, events, clock } = openMany()
    says.set('a', status).set('b', status).set('c', 200)
    expect(await outcome()).toBe('c')
    expect(order()).toEqual(['a', 'b', 'c'])
    expect(clock.timers).toBe(0)
    expect(
      events.map((event) => [event.type, 'provider' in event ? event.provider : 'code' in event && event.code]),
    ).toEqual([
      ['attempt.chosen', 'a'],
      ['attempt.failed', code],
      ['attempt.chosen', 'b'],
      ['attempt.failed', code],
      ['attempt.chosen', 'c'],
    ])
  })

  test('fail with the failure of the last', async () => {
    const { says, outcome, order } = openMany()
    says.set('a', 429).set('b', 429).set('c', 503)
    expect(await outcome()).toBe('upstream_failed')
    expect(order()).toEqual(['a', 'b', 'c'])
  })

  test.each([400, 404, 401, 403])('%i is returned without trying another', async (status) => {
    const { says, outcome, order } = openMany()
    says.set('a', status)
    expect(await outcome()).toBe(status < 401 || status === 404 ? 'a' : 'upstream_refused')
    expect(order()).toEqual(['a'])
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as const)('a %s is sent to one provider, once', async (method) => {
    const { says, outcome, order } = openMany({ retries: 5, hedge: 10 })
    says.set('a', 500).set('b', 200)
    expect(await outcome({ method })).toBe('upstream_failed')
    expect(order()).toEqual(['a'])
  })

  test('a repeatable POST is sent to the next', async () => {
    const { says, outcome } = openMany()
    says.set('a', 500).set('b', 200)
    expect(await outcome({ method: 'POST', repeatable: true })).toBe('b')
  })

  test('skip one whose breaker is open, except for its probes', async () => {
    const { says, outcome, order, events, clock, asked } = openMany()
    says.set('a', 500).set('b', 200)
    for (let i = 0; i < 5; i++) await outcome()
    expect(order().filter((name) => name === 'a')).toHaveLength(5)
    for (let i = 0; i < 20; i++) await outcome()
    expect(order().filter((name) => name === 'a')).toHaveLength(5)
    expect(events.at(-2)).toEqual({
      type: 'attempt.skipped',
      upstream: 'all',
      provider: 'a',
      reason: expect.stringMatching(/^its breaker .*is open$/),
    })
    await clock.advance(1200)
    says.delete('a')
    asked.length = 0
    const outcomes = Array.from({ length: 20 }, () => outcome())
    await clock.settle()
    expect(order().filter((name) => name === 'a')).toHaveLength(1)
    asked.find(({ provider }) => provider === 'a')?.answer()
    await Promise.all(outcomes)
    says.set('a', 200)
    await outcome()
    asked.length = 0
    await Promise.all(Array.from({ length: 5 }, () => outcome()))
    expect(order()).toEqual(['a', 'a', 'a', 'a', 'a'])
  })

  test('are not called while all breakers are open', async () => {
    const { says, asked, outcome } = openMany()
    for (const name of ['a', 'b', 'c']) says.set(name, 500)
    for (let i = 0; i < 5; i++) await outcome()
    expect(asked).toHaveLength(15)
    expect(await outcome()).toBe('upstream_failed')
    expect(asked).toHaveLength(15)
  })

  test('a refusal by the budget opens no breaker', async () => {
    const { says, outcome, order } = openMany()
    says.set('a', 429).set('b', 200)
    for (let i = 0; i < 20; i++) await outcome()
    expect(order().filter((name) => name === 'a')).toHaveLength(20)
  })
})

describe('providers by score', () => {
  test('the recently fastest is tried first', async () => {
    const { clock, asked, outcome, order } = openMany({ choose: 'score' })
    for (const took of [300, 100, 200]) {
      const answered = outcome()
      await clock.advance(took)
      asked.at(-1)?.answer()
      await answered
    }
    expect(order()).toEqual(['a', 'b', 'c'])
    void outcome()
    await clock.settle()
    expect(order().at(-1)).toBe('b')
  })

  test('a fast provider with old data scores no better than a slow one with new data', async () => {
    const { clock, asked, outcome, order } = openMany({ choose: 'score' }, { names: ['a', 'b'] })
    for (const [took, age] of [
      [10, '30'],
      [200, '0'],
    ] as const) {
      const answered = outcome()
      await clock.advance(took)
      asked.at(-1)?.answer(200, { age })
      await answered
    }
    void outcome()
    await clock.settle()
    expect(order()).toEqual(['a', 'b', 'b'])
  })

  test('errors weigh more than time, and are forgotten after a while', async () => {
    const { clock, asked, outcome, order } = openMany({ choose: 'score' }, { names: ['a', 'b'] })
    const takes = async (took: number, status: number) => {
      const answered = outcome()
      await clock.advance(took)
      asked.at(-1)?.answer(status)
      await clock.settle()
      return answered
    }
    void takes(50, 200)
    await clock.advance(60)
    void takes(100, 200)
    await clock.advance(150)
    const failing = outcome()
    await clock.settle()
    asked.at(-1)?.answer(500)
    await clock.settle()
    asked.at(-1)?.answer(200)
    await failing
    expect(order()).toEqual(['a', 'b', 'a', 'b'])
    void takes(100, 200)
    await clock.advance(150)
    expect(order().at(-1)).toBe('b')
    for (let i = 0; i < 40; i++) {
      void takes(100, 200)
      await clock.advance(5000)
    }
    expect(order().slice(5)).toContain('a')
  })
})

describe('providers that follow a chain', () => {
  /** Answers the latest calls with these heights, in turn. */
  function chain(policy: Partial<AttemptPolicy> = {}, names = ['a', 'b']) {
    const many = openMany({ maxLag: 50, ...policy }, { names })
    const at = async (height: number, of = 'slots') => {
      many.asked.at(-1)?.answer(200, {}, { of, at: height })
      await many.clock.settle()
    }
    /**
     * Makes one call whose providers have these heights, in the order in which they are called. Returns who answered
     * and who was called.
     */
    async function call(...heights: number[]) {
      const before = many.asked.length
      const answered = many.outcome()
      for (const height of heights) {
        await many.clock.settle()
        await at(height)
      }
      const by = await answered
      await many.clock.settle()
      return [by, ...many.order().slice(before)]
    }
    return { ...many, at, call }
  }

  test('one that lags too far is skipped at once, and tried last from then on', async () => {
    const { call, at, events } = chain()
    // Nothing is known of b, so it gets a copy of the call.
    expect(await call(1000)).toEqual(['a', 'a', 'b'])
    await at(1000)
    expect(await call(950)).toEqual(['a', 'a'])
    expect(await call(949, 1001)).toEqual(['b', 'a', 'b'])
    expect(events).toContainEqual({
      type: 'attempt.skipped',
      upstream: 'all',
      provider: 'a',
      reason: 'lags 51 behind',
    })
    expect(await call(1002)).toEqual(['b', 'b'])
    expect(events.filter(({ type }) => type === 'attempt.failed')).toEqual([])
  })

  test('one that stands still is detected, and returns when it has caught up', async () => {
    const { call, at, clock } = chain()
    await call(1000)
    await at(1000)
    await clock.advance(5000)
    // Only a was called, and its height stays the same.
    expect(await call(1000)).toEqual(['a', 'a', 'b'])
    await at(1060)
    expect(await call(1000, 1061)).toEqual(['b', 'a', 'b'])
    await clock.advance(4000)
    expect(await call(1070)).toEqual(['b', 'b'])
    await clock.advance(1000)
    expect(await call(1075)).toEqual(['b', 'b', 'a'])
    await at(1010)
    expect(await call(1080)).toEqual(['b', 'b'])
    await clock.advance(5000)
    expect(await call(1090)).toEqual(['b', 'b', 'a'])
    await at(1089)
    expect(await call(1091)).toEqual(['a', 'a'])
  })

  test('the nearest of the others answers while the best cannot', async () => {
    const { call, at, asked, outcome, clock, order } = chain({}, ['a', 'b', 'c'])
    await call(1000)
    for (const { provider, answer } of asked.slice(1))
      answer(200, {}, { of: 'slots', at: provider === 'b' ? 800 : 700 })
    await clock.settle()
    const begun = order().length
    const answered = outcome()
    await clock.settle()
    asked.at(-1)?.answer(503)
    await clock.settle()
    await at(801)
    await clock.settle()
    await at(702)
    expect(await answered).toBe('b')
    expect(order().slice(begun)).toEqual(['a', 'b', 'c'])
  })

  test('a request that must not be sent twice is neither sent on nor copied', async () => {
    const { at, outcome, clock, order, call } = chain()
    await call(1000)
    await at(1100)
    await clock.advance(5000)
    const sent = outcome({ method: 'POST' })
    await clock.settle()
    await at(1000)
    expect(await sent).toBe('a')
    await clock.settle()
    expect(order()).toEqual(['a', 'b', 'a'])
  })

  test('a long call is compared with what was known when it began, and different heights are not compared', async () => {
    const { at, asked, outcome, clock, call, order } = chain()
    await call(1000)
    await at(1000)
    const slow = outcome()
    await clock.settle()
    const [first] = asked.slice(-1)
    expect(await call(1100)).toEqual(['a', 'a'])
    first?.answer(200, {}, { of: 'slots', at: 1001 })
    expect(await slow).toBe('a')
    const other = outcome()
    await clock.settle()
    await at(5, 'epochs')
    expect(await other).toBe('a')
    expect(order()).toEqual(['a', 'b', 'a', 'a', 'a'])
  })

  test('a hedge with old data does not win the race', async () => {
    const { at, asked, outcome, clock, call } = chain({ hedge: 80 })
    await call(1000)
    await at(1100)
    await clock.settle()
    const raced = outcome()
    await clock.advance(80)
    const [first, second] = asked.slice(-2)
    expect([first?.provider, second?.provider]).toEqual(['a', 'b'])
    first?.answer(200, {}, { of: 'slots', at: 1000 })
    await clock.settle()
    second?.answer(200, {}, { of: 'slots', at: 1101 })
    expect(await raced).toBe('b')
  })

  test('are treated alike if their heights are not compared', async () => {
    const { call } = chain({ maxLag: Number.POSITIVE_INFINITY })
    expect(await call(1000)).toEqual(['a', 'a'])
    expect(await call(1)).toEqual(['a', 'a'])
  })
})

describe('retries', () => {
  test('come after a random part of a pause that doubles', async () => {
    const parts = [0.5, 1, 0.25]
    const { clock, says, outcome, asked, events } = openMany(
      { retries: 3 },
      { names: ['a'], random: () => parts.shift() ?? 0 },
    )
    says.set('a', 500)
    const failed = outcome()
    await clock.advance(1000)
    expect(await failed).toBe('upstream_failed')
    expect(asked.map(({ at }) => at)).toEqual([0, 50, 250, 350])
    expect(events.filter(({ type }) => type === 'attempt.retried')).toMatchObject([
      { after: 50 },
      { after: 200 },
      { after: 100 },
    ])
  })

  test('are never made past the deadline', async () => {
    const { clock, start, says, outcome, asked } = openMany({ retries: 10 }, { names: ['a'] })
    says.set('a', 500)
    const failed = outcome({ deadline: start + 700 })
    await clock.advance(5000)
    expect(await failed).toBe('upstream_failed')
    expect(asked.map(({ at }) => at)).toEqual([0, 100, 300])
  })

  test.each([
    [429, 'upstream_limited'],
    [401, 'upstream_refused'],
  ])('are not made after %i', async (status, code) => {
    const { says, outcome, asked } = openMany({ retries: 3 }, { names: ['a'] })
    says.set('a', status)
    expect(await outcome()).toBe(code)
    expect(asked).toHaveLength(1)
  })

  test('end when the caller aborts', async () => {
    const { clock, says, outcome, asked } = openMany({ retries: 3 }, { names: ['a'] })
    says.set('a', 500)
    const controller = new AbortController()
    const failed = outcome({ signal: controller.signal })
    await clock.advance(50)
    controller.abort(new Error('left'))
    expect(await failed).toBe('Error: left')
    await clock.advance(5000)
    expect(asked).toHaveLength(1)
    expect(clock.timers).toBe(0)
  })

  test('are a tenth of the traffic over a long run, whatever fails', async () => {
    const { clock, says, outcome, asked } = openMany({ retries: 5 }, { names: ['a'], random: Math.random })
    const calls = 2000
    let failures = 0
    // Every third first try fails and its retry succeeds, so the breaker stays closed.
    for (let i = 0; i < calls; i++) {
      const before = asked.length
      says.set('a', i % 3 === 0 ? 500 : 200)
      const done = outcome()
      await clock.advance(10)
      says.set('a', 200)
      await clock.advance(200)
      if ((await done) !== 'a') failures += 1
      expect(asked.length - before).toBeLessThanOrEqual(6)
    }
    expect(failures).toBeGreaterThan(0)
    expect(asked.length - calls).toBeLessThanOrEqual(calls * 0.1 + 10)
    expect(asked.length - calls).toBeGreaterThan(calls * 0.08)
  })
})

describe('a hedge', () => {
  test('calls a second when the first is slow; the first answer wins, and the loser is aborted', async () => {
    const { clock, asked, outcome, order, events } = openMany({ hedge: 80 })
    const answered = outcome()
    await clock.advance(79)
    expect(order()).toEqual(['a'])
    await clock.advance(1)
    expect(order()).toEqual(['a', 'b'])
    asked[1]?.answer()
    expect(await answered).toBe('b')
    expect(asked.map(({ request }) => request.signal?.aborted)).toEqual([true, true])
    expect(events.map(({ type }) => type)).toEqual(['attempt.chosen', 'attempt.chosen', 'attempt.hedged'])
    expect(clock.timers).toBe(0)
  })

  test('is not sent when the first is fast', async () => {
    const { clock, asked, outcome, order } = openMany({ hedge: 80 })
    const answered = outcome()
    await clock.advance(79)
    asked[0]?.answer()
    expect(await answered).toBe('a')
    await clock.advance(1000)
    expect(order()).toEqual(['a'])
  })

  test('waits for the other when one fails, whichever it is', async () => {
    for (const [failing, winner] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const { clock, asked, outcome } = openMany({ hedge: 80 })
      const answered = outcome()
      await clock.advance(80)
      asked[failing]?.answer(500)
      await clock.advance(10)
      asked[winner]?.answer()
      expect(await answered).toBe(winner === 0 ? 'a' : 'b')
    }
  })

  test('is followed by the third when both fail', async () => {
    const { clock, asked, outcome, order } = openMany({ hedge: 80 })
    const answered = outcome()
    await clock.advance(80)
    asked[0]?.answer(500)
    asked[1]?.answer(500)
    await clock.settle()
    expect(order()).toEqual(['a', 'b', 'c'])
    asked[2]?.answer()
    expect(await answered).toBe('c')
  })

  test('is aborted with the first when the caller aborts', async () => {
    const { clock, asked, outcome } = openMany({ hedge: 80 })
    const controller = new AbortController()
    const answered = outcome({ signal: controller.signal })
    await clock.advance(100)
    controller.abort(new Error('left'))
    expect(await answered).toBe('Error: left')
    expect(asked.map(({ request }) => request.signal?.reason?.message)).toEqual(['left', 'left'])
  })

  test('is not sent for a caller that has already aborted', async () => {
    const { asked, outcome } = openMany({ hedge: 80 })
    void outcome({ signal: AbortSignal.abort() })
    expect(asked.map(({ request }) => request.signal?.aborted)).toEqual([true])
  })

  test('does not leave a provider that always loses first for ever, by score', async () => {
    const { clock, asked, outcome, order } = openMany({ hedge: 80, choose: 'score' }, { names: ['a', 'b'] })
    for (let i = 0; i < 3; i++) {
      const answered = outcome()
      await clock.advance(90)
      for (const { provider, answer } of asked) if (provider === 'b') answer()
      await answered
    }
    expect(order()).toEqual(['a', 'b', 'b', 'a', 'b', 'a'])
  })
})

describe('behind a budget', () => {
  interface Said {
    readonly status: number
    readonly body?: string
    readonly after?: number
  }
  const SPENT = '{"error":{"code":"insufficient_quota"}}'

  /** One provider with several keys, each with a limit of two calls a second, that answers from `says`. */
  function openKeys(
    keys: readonly string[],
    says: (key: string | undefined, nth: number) => Said,
    policy: Partial<AttemptPolicy> = {},
    by: 'key' | 'account' = 'key',
  ) {
    const clock = new ManualClock()
    const used: (string | undefined)[] = []
    const events: WeirEvent[] = []
    const plan = {
      limits: [{ limit: 2, window: 1000, by }],
      keys: Math.max(1, keys.length),
      pastUsage: 'none' as const,
    }
    const meter = memoryMeters(clock).open('a', plan)
    const parts = { upstream: 'a', plan, clock, emit: () => {}, concurrency: 10, keys }
    const budget = createBudget({ ...parts, meter, rateLimits: readApiRateLimits })
    const provider = {
      name: 'a',
      send: budget.stage(({ apiKey, deadline }) => {
        used.push(apiKey)
        const { status, body = '', after = 10 } = says(apiKey, used.length)
        return new Promise<UpstreamAnswer>((resolve, reject) => {
          const left = deadline - clock.monotonic()
          const late = () => reject(new WeirError('upstream_timeout', 'slow'))
          if (left < after) clock.after(left, late)
          else clock.after(after, () => resolve({ status, headers: {}, body: Buffer.from(body) }))
        })
      }),
    }
    const send = attempt({
      upstream: 'a',
      providers: [provider],
      policy: { retries: 2, hedge: undefined, choose: 'order', ...policy },
      clock,
      emit: (event) => void events.push(event),
      random: () => 0,
    })
    const ask = (given: Partial<UpstreamRequest> = {}, patience = 5000) =>
      send(another({ deadline: clock.monotonic() + patience, ...given })).then(
        ({ status }) => status,
        (error: WeirError) => error.code,
      )
    return { clock, used, events, ask }
  }

  test.each([
    ['exhausted (429)', { status: 429, body: SPENT }],
    ['exhausted (402)', { status: 402, body: SPENT }],
    ['paused', { status: 429 }],
  ])('a call whose key is %s is sent again with another key, even if it is not repeatable', async (_, refusal) => {
    const { clock, used, events, ask } = openKeys(['k0', 'k1'], (key) => (key === 'k0' ? refusal : { status: 200 }))
    const outcome = ask({ method: 'POST' })
    await clock.advance(20)
    expect(await outcome).toBe(200)
    expect(used).toEqual(['k0', 'k1'])
    expect(events).toEqual([{ type: 'attempt.retried', upstream: 'a', after: 0 }])
  })

  test('the second try is charged to the other key, and refused if that has no capacity in time', async () => {
    const { clock, used, ask } = openKeys(['k0', 'k1'], (key) => ({ status: key === 'k0' ? 429 : 200 }))
    const outcome = ask()
    await clock.advance(50)
    expect(await outcome).toBe(200)
    expect(used).toEqual(['k0', 'k1'])
    // The refusal has lowered the limit to one.
    expect(await ask({}, 500)).toBe('over_budget')
  })

  test.each([
    ['the only key', ['k0'], { status: 429 }, {}, 'key', 'upstream_limited'],
    ['no key at all', [], { status: 429 }, {}, 'key', 'upstream_limited'],
    ['a key of a paused account', ['k0', 'k1'], { status: 429 }, {}, 'account', 'upstream_limited'],
    [
      'a failure that may have been carried out',
      ['k0', 'k1'],
      { status: 500, body: SPENT },
      {},
      'key',
      'upstream_failed',
    ],
    ['an upstream without retries', ['k0', 'k1'], { status: 429 }, { retries: 0 }, 'key', 'upstream_limited'],
  ] as const)('a call is not sent again after %s', async (_, keys, refusal, policy, by, outcome) => {
    const { clock, used, ask } = openKeys(keys, () => refusal, policy, by)
    const failed = ask({ method: 'POST' })
    await clock.advance(100)
    expect(await failed).toBe(outcome)
    expect(used).toHaveLength(1)
  })

  test('a call is sent once more, and not with every key', async () => {
    const { clock, used, ask } = openKeys(['k0', 'k1', 'k2', 'k3'], () => ({ status: 429, body: SPENT }))
    const failed = ask()
    await clock.advance(100)
    expect(await failed).toBe('upstream_limited')
    expect(used).toEqual(['k0', 'k1'])
  })

  test('calls with less time than answers take open no breaker; those with enough do', async () => {
    let takes = 100
    const { clock, ask } = openKeys(
      Array.from({ length: 20 }, (_, index) => `k${index}`),
      () => ({ status: 200, after: takes }),
      { retries: 0 },
    )
    const first = ask()
    await clock.advance(100)
    expect(await first).toBe(200)
    const outcomesOf = async (patience: number, calls: number) => {
      const outcomes = Array.from({ length: calls }, () => ask({}, patience))
      await clock.advance(patience)
      return new Set(await Promise.all(outcomes))
    }
    for (let i = 0; i < 3; i++) expect(await outcomesOf(60, 10)).toEqual(new Set(['over_budget']))
    takes = 9000
    // None of these requests has a known answer, so nothing may have succeeded for a while.
    await clock.advance(10_000)
    expect(await outcomesOf(200, 5)).toEqual(new Set(['upstream_timeout']))
    expect(await ask({}, 200)).toBe('upstream_failed')
  })
})

describe('every try is charged to the provider it goes to', () => {
  /** Providers with budgets of two calls a second, and the calls that arrived at each. */
  function openBudgets(
    policy: Partial<AttemptPolicy>,
    answers: Readonly<Record<string, { status: number; takes: number }>>,
  ) {
    const clock = new ManualClock()
    const meters = memoryMeters(clock)
    const arrived: string[] = []
    const providers = Object.entries(answers).map(([name, { status, takes }]) => {
      const plan = { limits: [{ limit: 2, window: 1000, by: 'account' as const }], keys: 1, pastUsage: 'none' as const }
      const meter = meters.open(name, plan)
      const budget = createBudget({ upstream: name, meter, plan, clock, emit: () => {}, concurrency: 10, keys: [] })
      const send = budget.stage((request) => {
        arrived.push(name)
        return new Promise<UpstreamAnswer>((resolve, reject) => {
          request.signal?.addEventListener('abort', () => reject(request.signal?.reason))
          clock.after(takes, () => resolve({ status, headers: {}, body: Buffer.from(name) }))
        })
      })
      return { name, send }
    })
    const policyOf = { retries: 0, hedge: undefined, choose: 'order' as const, ...policy }
    const send = attempt({ upstream: 'all', providers, policy: policyOf, clock, emit: () => {}, random: () => 1 })
    const ask = () =>
      send(another({ deadline: clock.monotonic() + 900 })).then(
        ({ body }) => body.toString(),
        (error: WeirError) => error.code,
      )
    return { clock, arrived, ask }
  }

  test('a failover', async () => {
    const { clock, arrived, ask } = openBudgets({}, { a: { status: 500, takes: 10 }, b: { status: 200, takes: 10 } })
    const outcomes = [ask(), ask(), ask()]
    await clock.advance(1000)
    expect(await Promise.all(outcomes)).toEqual(expect.arrayContaining(['b', 'b', 'over_budget']))
    expect(arrived.sort()).toEqual(['a', 'a', 'b', 'b'])
  })

  test('a retry', async () => {
    const { clock, arrived, ask } = openBudgets({ retries: 9 }, { a: { status: 500, takes: 10 } })
    const failed = ask()
    await clock.advance(1000)
    expect(['over_budget', 'upstream_failed']).toContain(await failed)
    expect(arrived).toEqual(['a', 'a'])
  })

  test('a probe', async () => {
    const { clock, arrived, ask } = openBudgets({}, { a: { status: 500, takes: 10 } })
    for (let i = 0; i < 5; i++) {
      void ask()
      await clock.advance(600)
    }
    expect(arrived).toHaveLength(5)
    expect(await ask()).toBe('upstream_failed')
    await clock.advance(1200)
    const probes = [ask(), ask()]
    await clock.advance(50)
    expect(await Promise.all(probes)).toEqual(['upstream_failed', 'upstream_failed'])
    expect(arrived).toHaveLength(6)
  })

  test('a hedge', async () => {
    const { clock, arrived, ask } = openBudgets(
      { hedge: 50 },
      { a: { status: 200, takes: 800 }, b: { status: 200, takes: 10 } },
    )
    const answers = [ask(), ask()]
    await clock.advance(100)
    expect(await Promise.all(answers)).toEqual(['b', 'b'])
    const third = ask()
    await clock.advance(1000)
    expect(await third).toBe('over_budget')
    expect(arrived.sort()).toEqual(['a', 'a', 'b', 'b'])
  })
})
