import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { EventStream } from '../../../../scripts/event-stream.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { createBatch, createBudget, createCache, createFlight, createHub } from '../index.ts'

describe('createBudget', () => {
  test('runs the calls that fit, and the others one window after an answer', async () => {
    const clock = new ManualClock()
    const budget = createBudget({ limits: [{ calls: 2, per: '1s' }], pastUsage: 'none', clock })
    const ran: string[] = []
    const all = ['a', 'b', 'c'].map((name) => budget.run(() => ran.push(name)))
    await clock.settle()
    expect(ran).toEqual(['a', 'b'])
    expect(budget.queued).toBe(1)
    await clock.advance(1000)
    expect(await Promise.all(all)).toEqual([1, 2, 3])
    expect(budget).toMatchObject({ queued: 0, running: 0 })
  })

  test('returns the result, or rejects with the thrown error', async () => {
    const budget = createBudget({ limits: [{ calls: 5, per: '1s' }], pastUsage: 'none', clock: new ManualClock() })
    expect(await budget.run(async () => 'result')).toBe('result')
    await expect(budget.run(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
    expect(budget.running).toBe(0)
  })

  test('refuses a call that cannot start in time, with `retryAfter`', async () => {
    const clock = new ManualClock()
    const budget = createBudget({ limits: [{ calls: 1, per: '10s' }], pastUsage: 'none', clock })
    await budget.run(() => {})
    const patient = budget.run(() => 'patient', { deadline: '1m' })
    await clock.settle()
    const error = await budget.run(() => {}, { deadline: '1s' }).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'over_budget', retryAfter: expect.any(Number) })
    await clock.advance(10_000)
    expect(await patient).toBe('patient')
  })

  test('pauses until the time given by a 429', async () => {
    const clock = new ManualClock()
    const budget = createBudget({ limits: [{ calls: 5, per: '1s' }], pastUsage: 'none', clock })
    await budget.run(({ answered }) => answered({ status: 429, headers: new Headers({ 'retry-after': '3' }) }))
    const ran: number[] = []
    void budget.run(() => ran.push(clock.monotonic()))
    await clock.advance(2999)
    expect(ran).toHaveLength(0)
    await clock.advance(1)
    expect(ran).toHaveLength(1)
  })

  test('counts an aborted call while it may still reach the upstream', async () => {
    const clock = new ManualClock()
    const budget = createBudget({ limits: [{ calls: 1, per: '1s' }], pastUsage: 'none', clock })
    const controller = new AbortController()
    const { signal } = controller
    const call = () => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const aborted = budget.run(call, { signal }).catch((error: Error) => error.message)
    await clock.settle()
    controller.abort(new Error('left'))
    expect(await aborted).toBe('left')
    const next = budget.run(() => clock.monotonic())
    const from = clock.monotonic()
    await clock.advance(5000)
    expect((await next) - from).toBe(3250)
  })

  test('counts cost where the limit does, and corrects it with the actual cost', async () => {
    const clock = new ManualClock()
    const budget = createBudget({ limits: [{ cost: 100, per: '1s' }], pastUsage: 'none', clock })
    await budget.run(({ answered }) => answered({ status: 200, headers: {}, cost: 20 }), { cost: 90 })
    const ran: string[] = []
    void budget.run(() => ran.push('fits because the first call was cheaper than estimated'), { cost: 80 })
    void budget.run(() => ran.push('does not fit'), { cost: 1 })
    await clock.settle()
    expect(ran).toEqual(['fits because the first call was cheaper than estimated'])
  })

  test.each([
    [{}, 'limits'],
    [{ limits: [{ calls: 1, per: '1s' }], pastUsage: 'clean' }, 'pastUsage'],
    [{ limits: [{ calls: 1, per: '1s' }], limit: 3 }, 'limit'],
  ])('refuses %j', (options, key) => {
    expect(() => createBudget(options as Parameters<typeof createBudget>[0])).toThrow(
      expect.objectContaining({ name: 'ConfigError', key }),
    )
  })
})

describe('createBatch', () => {
  test('combines simultaneous loads into one call, and returns each its own result', async () => {
    const calls: (readonly string[])[] = []
    const { load } = createBatch<string, string>({
      within: '1ms',
      many: async (keys) => {
        calls.push(keys)
        return keys.map((key) => (key === 'bad' ? new Error('bad') : key.toUpperCase()))
      },
    })
    const [a, bad, b] = await Promise.allSettled([load('a'), load('bad'), load('#b')])
    expect([a, b]).toEqual([
      { status: 'fulfilled', value: 'A' },
      { status: 'fulfilled', value: '#B' },
    ])
    expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'bad' } })
    expect(calls).toEqual([['a', 'bad', '#b']])
  })
})

test.each([
  ['too few results', () => [1]],
  ['too many results', () => [1, 2, 3, 4]],
  ['an object', () => ({})],
  ['nothing', () => undefined],
])('when `many` returns %s, every key fails, and none gets the result of another', async (_, results) => {
  const { load } = createBatch<number, unknown>({
    many: async (keys) => (keys.length === 1 ? [1, 2] : results()) as never,
  })
  const codes = await Promise.all([1, 2].map((key) => load(key).catch((error: { code: string }) => error.code)))
  expect(codes).toEqual(['upstream_invalid', 'upstream_invalid'])
})

describe('createCache', () => {
  test('loads once for all waiting callers, and serves the value while it is fresh', async () => {
    const clock = new ManualClock()
    let loads = 0
    const cache = createCache({ fresh: '5s', clock, load: async (key) => ({ key, loads: ++loads }) })
    const kept = await Promise.all(Array.from({ length: 100 }, () => cache.get('a')))
    expect(new Set(kept.map(({ value }) => value)).size).toBe(1)
    await clock.advance(4000)
    expect(await cache.get('a')).toMatchObject({ value: { key: 'a', loads: 1 }, age: 4000 })
    await clock.advance(2000)
    // The value is stale, so it is served and reloaded in the background.
    expect((await cache.get('a')).value.loads).toBe(1)
    await clock.settle()
    expect((await cache.get('a')).value.loads).toBe(2)
    expect(cache.size).toBe(1)
  })

  test.each<[value: unknown, got: string]>([
    [{ price: Number.NaN }, 'NaN at price'],
    [{ held: new Map([['a', 1]]) }, 'an object of class Map at held'],
    [{ at: new Date(0) }, 'an object of class Date at at'],
    [undefined, 'undefined'],
  ])('refuses a value that is not JSON: %o', async (value, got) => {
    const cache = createCache({ name: 'prices', clock: new ManualClock(), load: async () => value })
    await expect(cache.get('a')).rejects.toMatchObject({
      code: 'upstream_invalid',
      message: `prices: expected a JSON value for "a", got ${got}`,
    })
  })

  test('a caller cannot change the value of others', async () => {
    const cache = createCache({ clock: new ManualClock(), load: async () => ({ list: [1] }) })
    const { value } = await cache.get('a')
    expect(() => value.list.push(2)).toThrow()
  })

  test('an error reaches all waiting callers, and those within the next second', async () => {
    const clock = new ManualClock()
    let loads = 0
    const cache = createCache({
      clock,
      load: async () => {
        loads += 1
        throw new Error('away')
      },
    })
    const failed = await Promise.allSettled(Array.from({ length: 100 }, () => cache.get('a')))
    expect(failed.every(({ status }) => status === 'rejected')).toBe(true)
    await expect(cache.get('a')).rejects.toThrow('away')
    expect(loads).toBe(1)
    await clock.advance(1001)
    await expect(cache.get('a')).rejects.toThrow('away')
    expect(loads).toBe(2)
  })

  test('the last caller to leave aborts the load', async () => {
    const signals: AbortSignal[] = []
    const cache = createCache({
      clock: new ManualClock(),
      load: (_key, signal) => {
        signals.push(signal)
        return new Promise<string>(() => {})
      },
    })
    const [first, second] = [new AbortController(), new AbortController()]
    const gets = [first, second].map(({ signal }) => cache.get('a', { signal }).catch((error: unknown) => error))
    await expect.poll(() => signals.length).toBe(1)
    first.abort(new Error('left'))
    expect(signals[0]?.aborted).toBe(false)
    second.abort(new Error('left'))
    expect(signals[0]?.aborted).toBe(true)
    expect(await Promise.all(gets)).toMatchObject([{ message: 'left' }, { message: 'left' }])
  })
})

describe('createFlight', () => {
  test('shares one call between waiting callers, and starts a new one for a later caller', async () => {
    const calls: PromiseWithResolvers<number>[] = []
    const flight = createFlight({
      clock: new ManualClock(),
      load: () => {
        const call = Promise.withResolvers<number>()
        calls.push(call)
        return call.promise
      },
    })
    const all = Array.from({ length: 1000 }, () => flight.load('a'))
    calls[0]?.resolve(1)
    expect(new Set(await Promise.all(all))).toEqual(new Set([1]))
    const late = flight.load('a')
    calls[1]?.reject(new Error('away'))
    await expect(late).rejects.toThrow('away')
    expect(calls).toHaveLength(2)
  })

  test('a caller that reaches its deadline leaves without the others', async () => {
    const clock = new ManualClock()
    const { promise, resolve } = Promise.withResolvers<string>()
    const flight = createFlight({ clock, load: () => promise })
    const patient = flight.load('a', { deadline: '10s' })
    const hurried = flight.load('a', { deadline: '1s' }).catch((error: unknown) => error)
    await clock.advance(1000)
    expect(await hurried).toMatchObject({ code: 'upstream_timeout' })
    resolve('value')
    expect(await patient).toBe('value')
  })
})

test('a load that never ends is aborted at the deadline', async () => {
  const clock = new ManualClock()
  const signals: AbortSignal[] = []
  const load = (_key: string, signal: AbortSignal) => {
    signals.push(signal)
    return new Promise<string>(() => {})
  }
  const ends = [
    createFlight({ clock, load }).load('a', { deadline: '2s' }),
    createCache({ clock, load, deadline: '2s' }).get('a'),
  ].map((end) => end.catch((error: unknown) => error))
  await clock.advance(2000)
  expect(await Promise.all(ends)).toMatchObject([{ code: 'upstream_timeout' }, { code: 'upstream_timeout' }])
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
})

describe('createHub', () => {
  test('serves live topics from an existing server, and an equal value makes no new version', async () => {
    const hub = createHub()
    const first = await hub.publish('/scores/a', { points: 1 })
    const server = createServer((request, response) => hub.serve(request, response, ['/scores/a', '/scores/b']))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await using events = new EventStream(await fetch(`http://127.0.0.1:${port}/`))
    expect(await events.until('snapshot')).toMatchObject({
      id: first,
      data: { topic: '/scores/a', value: { points: 1 } },
    })
    expect(await hub.publish('/scores/a', { points: 1 })).toBe(first)
    const second = await hub.publish('/scores/b', { points: 2 })
    expect(await events.until('snapshot')).toMatchObject({ id: second, data: { topic: '/scores/b' } })
    expect(hub.connections).toBe(1)
    hub.close()
    expect(await events.until('goodbye')).toMatchObject({ data: { retry: expect.any(Number) } })
    server.close()
  })

  test('answers Web-standard requests', async () => {
    const hub = createHub()
    await using events = new EventStream(hub.respond(new Request('http://localhost/'), ['/scores/a']))
    const version = await hub.publish('/scores/a', { points: 1 })
    expect(await events.until('snapshot')).toMatchObject({ id: version })
  })
})
