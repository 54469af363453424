import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { request } from '../../test/request.ts'
import type { UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { WeirError } from '../errors.ts'
import { type AttemptPolicy, attempt } from './attempt.ts'

type Said = Partial<UpstreamAnswer> | Error | Promise<never>
type Says = (path: string, provider: string) => Said

/** Providers that answer at once, and the calls to each. */
function open(names: readonly string[], says: Says, policy: Partial<AttemptPolicy> = {}) {
  const clock = new ManualClock()
  const asked: { readonly provider: string; readonly path: string }[] = []
  const upstream = { says }
  const providers = names.map((name) => ({
    name,
    keyed: true,
    send: async ({ path }: UpstreamRequest): Promise<UpstreamAnswer> => {
      asked.push({ provider: name, path })
      const said = await upstream.says(path, name)
      if (said instanceof Error) throw said
      return { status: 200, headers: {}, body: Buffer.from(path), ...said }
    },
  }))
  const send = attempt({
    upstream: 'all',
    providers,
    policy: { retries: 0, hedge: undefined, choose: 'order', ...policy },
    clock,
    emit: () => {},
    random: () => 0.5,
  })
  const ask = (path: string, given: Partial<UpstreamRequest> = {}): Promise<string> =>
    send(request({ path, ...given })).then(
      ({ status }) => String(status),
      (error: WeirError) => error.message,
    )
  const times = (path: string, provider = names[0]) =>
    asked.filter((one) => one.path === path && one.provider === provider).length
  return { clock, asked, upstream, ask, times }
}

const fails = (path: string): Said => ({ status: path.includes('bad') ? 500 : 200 })
const REFUSED = /breaker is open/
const WAITS = /asked to wait/
const unreachable = () => new WeirError('upstream_failed', 'connect ECONNREFUSED', { unreachable: true })

describe('bad requests', () => {
  test('a failing one is its caller’s answer, and blocks no other', async () => {
    const { clock, ask } = open(['a'], fails)
    expect(await ask('/good?0')).toBe('200')
    for (let i = 0; i < 500; i++) {
      expect(await ask('/good?bad')).toMatch(/^a: answered 500/)
      await clock.advance(50)
    }
    expect(await ask('/good?0')).toBe('200')
    expect(await ask('/good?new')).toBe('200')
  })

  test('thousands of different ones from many clients block neither requests known to have an answer nor new ones', async () => {
    const { clock, ask } = open(['a'], fails)
    for (let i = 0; i < 2000; i++) {
      await ask(`/good?bad${i}`, { client: `c${i % 7}` })
      await clock.advance(50)
      // A watched value, every five seconds.
      if (i % 100 === 0) expect(await ask('/good?watched')).toBe('200')
      if (i % 100 === 50) expect(await ask(`/good?new${i}`)).toBe('200')
    }
  })

  test('only the failing path is refused', async () => {
    const { ask } = open(['a'], fails)
    for (let i = 0; i < 20; i++) await ask(`/bad?${i}`, { client: `c${i}` })
    expect(await ask('/bad?more')).toMatch(REFUSED)
    expect(await ask('/good')).toBe('200')
  })

  test('a bad one is retried only the first time, however often it is sent', async () => {
    const { clock, ask, times } = open(['a'], fails, { retries: 2 })
    const first = ask('/good?bad')
    await clock.advance(1000)
    await first
    expect(times('/good?bad')).toBe(3)
    for (let i = 0; i < 10; i++) {
      const again = ask('/good?bad')
      await clock.advance(1000)
      await again
    }
    expect(times('/good?bad')).toBe(13)
  })

  test('probes are not used up by them', async () => {
    const { clock, ask, upstream } = open(['a'], fails)
    const good = Array.from({ length: 6 }, (_, index) => `/good?${index}`)
    for (const path of good) await ask(path)
    upstream.says = () => ({ status: 503 })
    for (const path of good) await ask(path)
    expect(await ask(good[0] ?? '')).toMatch(REFUSED)
    await clock.advance(1200)
    upstream.says = fails
    for (let i = 0; i < 20; i++) await ask(`/good?bad${i}`)
    expect([await ask(good[0] ?? ''), await ask(good[1] ?? '')]).toEqual(['200', '200'])
    expect(await ask('/good?new')).toBe('200')
  })
})

describe('an upstream that is down', () => {
  test('which accepts no connection gets five calls, whatever they request', async () => {
    const { clock, ask, asked, upstream } = open(['a'], unreachable)
    for (let i = 0; i < 50; i++) await ask('/the-same')
    expect(asked).toHaveLength(5)
    upstream.says = fails
    await clock.advance(1200)
    expect([await ask('/the-same'), await ask('/the-same'), await ask('/other')]).toEqual(['200', '200', '200'])
  })

  test('which fails requests that it answered before gets five of those', async () => {
    const { clock, ask, asked, upstream } = open(['a'], fails)
    const paths = Array.from({ length: 20 }, (_, index) => `/${index % 4}?${index}`)
    for (const path of paths) await ask(path)
    upstream.says = () => new WeirError('upstream_timeout', 'slow')
    asked.length = 0
    for (let i = 0; i < 10; i++) for (const path of paths) await ask(path)
    expect(asked).toHaveLength(5)
    upstream.says = fails
    await clock.advance(1200)
    for (const path of paths) expect(await ask(path)).toBe('200')
  })

  test('and asks to wait gets no call from anyone before', async () => {
    const { clock, ask, asked, upstream } = open(['a'], fails)
    await ask('/good?1')
    upstream.says = () => ({ status: 503, rest: 30_000 })
    expect(await ask('/good?1')).toMatch(/answered 503/)
    asked.length = 0
    for (const path of ['/good?1', '/good?2', '/good?3']) expect(await ask(path)).toMatch(WAITS)
    await clock.advance(29_000)
    expect(await ask('/good?4')).toMatch(WAITS)
    expect(asked).toHaveLength(0)
    upstream.says = fails
    await clock.advance(1000)
    expect(await ask('/good?1')).toBe('200')
    // An answer to a single request without a known answer concerns only that request.
    upstream.says = (path) => (path.includes('bad') ? { status: 503, rest: 30_000 } : {})
    await ask('/good?bad')
    expect(await ask('/good?bad')).toMatch(WAITS)
    expect(await ask('/good?1')).toBe('200')
    expect(await ask('/good?new')).toBe('200')
  })
})

describe('when nothing succeeded for a while', () => {
  const rests = (path: string): Said => (path.includes('bad') ? { status: 503, rest: 60_000 } : {})

  test.each([500, 503, 403])('a %i with Retry-After to one new request blocks no other', async (status) => {
    const says = (path: string): Said => (path.includes('bad') ? { status, rest: 60_000, ofOperation: true } : {})
    const { ask, times } = open(['a'], says)
    await ask('/good?bad')
    for (let i = 0; i < 3; i++) expect(await ask('/good?bad')).toMatch(WAITS)
    expect(times('/good?bad')).toBe(1)
    expect([await ask('/good?new'), await ask('/other')]).toEqual(['200', '200'])
  })

  test('a second such answer blocks all requests without a known answer', async () => {
    const { clock, ask, asked } = open(['a'], rests)
    await ask('/good?bad1')
    await ask('/good?bad2')
    expect(await ask('/good?new')).toMatch(WAITS)
    expect(asked).toHaveLength(2)
    expect(await ask('/other')).toBe('200')
    await clock.advance(60_000)
    expect(await ask('/good?new')).toBe('200')
  })

  test('failing requests of two clients block no new request of another for longer than three seconds', async () => {
    const { clock, ask } = open(['a'], fails)
    let tries = 0
    let answered = 0
    for (let i = 0; i < 300; i++) {
      for (const client of ['one', 'two']) await ask(`/good?bad${client}${i}`, { client })
      await clock.advance(100)
      if (i % 10 !== 5) continue
      tries += 1
      if ((await ask(`/good?new${i}`, { client: 'honest' })) !== '200') expect(tries - answered).toBeLessThanOrEqual(3)
      else answered += 1
    }
    expect(tries - answered).toBeLessThanOrEqual(3)
  })

  test('clients whose requests hang take only their own turns', async () => {
    const { clock, ask, upstream } = open(['a'], fails)
    for (let i = 0; i < 10; i++) await ask(`/good?bad${i}`, { client: `c${i % 2}` })
    upstream.says = (path) => (path.includes('hang') ? new Promise<never>(() => {}) : fails(path))
    for (let second = 0; second < 3; second++) {
      await clock.advance(1000)
      for (let i = 0; i < 5; i++) for (const client of ['c0', 'c1']) void ask(`/good?hang${second}${i}`, { client })
    }
    expect(await ask('/good?new', { client: 'honest' })).toBe('200')
  })
})

describe('a refusal with Retry-After', () => {
  const banned = (path: string): Said =>
    path.startsWith('/ban') ? { status: 403, rest: 60_000, ofOperation: true } : {}

  test('to a request known to have an answer blocks its operation, and the provider when a second operation is refused', async () => {
    const { ask, asked, upstream } = open(['a'], () => ({}))
    for (const path of ['/ban1', '/ban2', '/good']) expect(await ask(path)).toBe('200')
    upstream.says = banned
    await ask('/ban1')
    expect(await ask('/ban1?other')).toMatch(WAITS)
    expect(await ask('/good')).toBe('200')
    await ask('/ban2')
    asked.length = 0
    expect([await ask('/good'), await ask('/new')]).toEqual([
      expect.stringMatching(WAITS),
      expect.stringMatching(WAITS),
    ])
    expect(asked).toEqual([])
  })
})

describe('bad requests to several providers', () => {
  test('one that fails everywhere is tried everywhere once in ten seconds, and blocks no other', async () => {
    const { clock, ask, times } = open(['a', 'b', 'c'], fails)
    for (let i = 0; i < 200; i++) {
      expect(await ask('/good?bad')).toMatch(/answered 500/)
      expect(await ask(`/good?${i}`)).toBe('200')
      await clock.advance(50)
    }
    expect(times('/good?bad', 'a') + times('/good?bad', 'b') + times('/good?bad', 'c')).toBeLessThanOrEqual(206)
    expect(times('/good?0', 'b')).toBe(0)
  })

  test.each([
    ['fails', () => ({ status: 500 })],
    ['is slow', () => new WeirError('upstream_timeout', 'slow')],
    ['refuses our key', () => ({ status: 401 })],
    ['forbids the request to our key', () => ({ status: 403 })],
  ] as const)('a provider that %s while another answers is skipped, and soon not called', async (_, said) => {
    const { ask, asked } = open(['a', 'b'], (_path, provider) => (provider === 'a' ? said() : {}))
    for (let i = 0; i < 50; i++) expect(await ask(`/good?${i}`)).toBe('200')
    expect(asked.filter(({ provider }) => provider === 'a')).toHaveLength(5)
  })

  test('a provider with invalid answers is skipped too', async () => {
    const { ask, asked } = open(['a', 'b'], (_path, provider) => ({
      body: Buffer.from(provider === 'a' ? '<html>' : '{}'),
    }))
    const check = async ({ body }: UpstreamAnswer) => {
      if (body.toString() !== '{}') throw new WeirError('upstream_invalid', 'expected JSON')
    }
    for (let i = 0; i < 50; i++) expect(await ask(`/good?${i}`, { check })).toBe('200')
    expect(asked.filter(({ provider }) => provider === 'a')).toHaveLength(5)
    // If all providers agree, it is the caller's answer and nobody's failure.
    const none = open(['a', 'b'], () => ({ body: Buffer.from('<html>') }))
    for (let i = 0; i < 50; i++) expect(await none.ask(`/good?${i}`, { check })).toBe('expected JSON')
  })

  test('a request that one refuses is sent to another, else the refusal is returned unchanged', async () => {
    const { ask, asked, upstream } = open(['a', 'b'], (_path, provider) =>
      provider === 'a' ? { status: 400, elsewhere: true } : {},
    )
    expect(await ask('/slot?1')).toBe('200')
    upstream.says = () => ({ status: 400, elsewhere: true })
    for (let i = 0; i < 50; i++) expect(await ask(`/slot?bad${i}`)).toBe('400')
    expect(asked.at(-1)).toEqual({ provider: 'b', path: '/slot?bad49' })
    upstream.says = fails
    expect(await ask('/good')).toBe('200')
    expect(asked.at(-1)?.provider).toBe('a')
  })

  test('a provider that is down is skipped, and called again when it is back', async () => {
    const { clock, ask, asked, upstream } = open(['a', 'b'], (_path, provider) =>
      provider === 'a' ? unreachable() : {},
    )
    for (let i = 0; i < 50; i++) expect(await ask('/the-same')).toBe('200')
    expect(asked.filter(({ provider }) => provider === 'a')).toHaveLength(5)
    upstream.says = fails
    await clock.advance(1200)
    for (let i = 0; i < 3; i++) await ask('/the-same')
    expect(asked.slice(-3).map(({ provider }) => provider)).toEqual(['a', 'a', 'a'])
  })
})

describe('the law of bad requests', () => {
  /** Calls: kind, request, client, and delay after the previous one. Kind 0 reads a watched value, 1 a good key; 2 and 3 fail. */
  const story = fc.array(fc.record({ kind: fc.nat(3), key: fc.nat(500), client: fc.nat(5), after: fc.nat(120) }), {
    minLength: 100,
    maxLength: 500,
  })

  test.each([[['a']], [['a', 'b']]])(
    'with providers %j no request is refused that would be answered',
    async (names) => {
      await fc.assert(
        fc.asyncProperty(story, async (calls) => {
          const { clock, ask } = open(names, fails, { retries: 2 })
          await ask('/good?watched', { client: 'poller' })
          let watchedAt = clock.monotonic()
          for (const { kind, key, client, after } of calls) {
            await clock.advance(after)
            if (clock.monotonic() - watchedAt > 5000 || kind === 0) {
              watchedAt = clock.monotonic()
              expect(await ask('/good?watched', { client: 'poller' })).toBe('200')
            }
            if (kind === 1) expect(await ask(`/good?${key}`, { client: `honest${client}` })).toBe('200')
            if (kind === 2) void ask(`/good?bad${key}`, { client: `c${client}` })
            if (kind === 3) void ask(`/bad/${key}`, { client: `c${client}` })
          }
        }),
        { numRuns: 20 },
      )
    },
  )
})
