import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ask } from '../../../test/ask.ts'
import { ManualClock } from '../../../test/manual-clock.ts'
import type { Ask, UpstreamAnswer, UpstreamRequest } from '../../call.ts'
import { WeirError } from '../../errors.ts'
import { http } from '../../upstream/http.ts'
import { absent, feed } from './feed.ts'
import { loader } from './loader.ts'

const clock = new ManualClock()
const upstream = http({ name: 'jupiter', url: 'http://127.0.0.1:1' })
const Key = { mint: z.string() }
const Value = z.object({ price: z.number() })

type Results = Parameters<typeof many>[0]

/** A feed whose loader does this. */
function many(load: (keys: readonly { mint: string }[]) => unknown) {
  return feed('/prices/:mint', { name: 'price', key: Key, value: Value, from: upstream, load: { many: load as never } })
}

const asks = (...mints: string[]): readonly Ask[] => mints.map((mint) => ask({ topic: `/${mint}`, key: { mint } }))
const unreachable = () => Promise.reject(new Error('the loader should not have asked'))

async function load(results: Results, ...mints: string[]) {
  const loaded = await loader(many(results).plan, unreachable, clock)(asks(...mints))
  return loaded.map((one) => (one instanceof WeirError ? one.code : (one as { json?: Buffer }).json?.toString()))
}

describe('values in an order of their own', () => {
  const { plan } = feed('/tokens/:mint', {
    name: 'token',
    key: Key,
    value: z.object({ mint: z.string(), price: z.number() }),
    from: upstream,
    load: { many: async () => answered as never, keyOf: ({ mint }) => ({ mint }), missing: '3s' },
  })
  let answered: unknown

  async function matched(given: unknown, ...mints: string[]) {
    answered = given
    const topics = mints.map((mint) => ask({ topic: `/tokens/${mint}`, key: { mint } }))
    const loaded = await loader(plan, unreachable, clock)(topics)
    return loaded.map((one) => (one instanceof Error ? (one as WeirError).code : (one.json?.toString() ?? one)))
  }

  test('are matched by their key: reordered, beside others nobody asked for, and twice', async () => {
    const values = [
      { mint: 'b', price: 2 },
      { mint: 'other', price: 9 },
      { mint: 'a', price: 0 },
      { mint: 'a', price: 1 },
      { nothing: true },
      null,
    ]
    expect(await matched(values, 'a', 'b')).toEqual(['{"mint":"a","price":1}', '{"mint":"b","price":2}'])
  })

  test('that are missing are absent for the time that was said', async () => {
    const missing = { since: 5000, json: undefined, reason: 'not found', absentFor: 3000 }
    expect(await matched([{ mint: 'b', price: 2 }], 'a', 'b')).toEqual([missing, '{"mint":"b","price":2}'])
    expect(await matched([], 'a')).toEqual([missing])
  })

  test.each([undefined, { a: 1 }, 'text'])('that are no list (%j) are the failure of all', async (given) => {
    await expect(matched(given, 'a')).rejects.toMatchObject({ code: 'upstream_invalid' })
  })
})

describe('what a loader returns', () => {
  test('becomes contents, each with its key', async () => {
    expect(await load(async (keys) => keys.map(({ mint }) => ({ price: mint.length })), 'a', 'bb')).toEqual([
      '{"price":1}',
      '{"price":2}',
    ])
  })

  test('may be absence, with its reason and its time', async () => {
    const plan = many(async () => [absent('not priced', { for: '3s' })]).plan
    expect(await loader(plan, unreachable, clock)(asks('a'))).toEqual([
      { json: undefined, reason: 'not priced', absentFor: 3000, since: 5000 },
    ])
  })

  test('is refused one by one: a poison item does not fail the others', async () => {
    const results = async () => [
      { price: 1 },
      { price: 'poison' },
      new Error('not this one'),
      new WeirError('upstream_refused', 'forbidden'),
      { price: 5 },
    ]
    expect(await load(results, 'a', 'b', 'c', 'd', 'e')).toEqual([
      '{"price":1}',
      'upstream_invalid',
      'upstream_failed',
      'upstream_refused',
      '{"price":5}',
    ])
  })

  test('and can not be JSON, or makes its schema throw, fails alone', async () => {
    const circle: Record<string, unknown> = {}
    circle.self = circle
    const Odd = z.string().transform((text): unknown => {
      if (text === 'throw') throw new Error('schema failed')
      return text === 'circle' ? circle : text
    })
    const odd = feed('/odd/:mint', {
      name: 'odd',
      key: Key,
      value: Odd,
      from: upstream,
      load: { many: async (keys) => keys.map(({ mint }) => mint) },
    })
    const loaded = await loader(odd.plan, unreachable, clock)(asks('ok', 'circle', 'throw'))
    expect(loaded[0]).toMatchObject({ json: Buffer.from('"ok"') })
    expect(loaded[1]).toMatchObject({ code: 'upstream_invalid' })
    expect(loaded[2]).toMatchObject({ code: 'upstream_failed' })
  })

  test.each([
    ['too few results', async () => [{ price: 1 }], /expected 2 results, one for each key in order, got 1 results/],
    ['too many results', async () => [1, 2, 3], /got 3 results/],
    ['an object', async () => ({ a: 1 }), /got object/],
    ['nothing', async () => undefined, /got undefined/],
  ])('as %s is refused for all', async (_, results, message) => {
    const failed = await loader(many(results).plan, unreachable, clock)(asks('a', 'b')).catch((error: unknown) => error)
    expect(failed).toMatchObject({ code: 'upstream_invalid', message: expect.stringMatching(message) })
  })

  test('names the part of the value that its schema refuses', async () => {
    const [refused] = await loader(many(async () => [{ price: 'x' }]).plan, unreachable, clock)(asks('a'))
    expect(refused).toMatchObject({ message: expect.stringContaining('feed "/prices/:mint": price: ') })
  })
})

describe('what a loader throws', () => {
  test.each([
    ['later', async () => Promise.reject(new Error('odd answer'))],
    [
      'at once',
      () => {
        throw new Error('odd answer')
      },
    ],
  ])("%s without a code is the upstream's failure, and its words are its cause", async (_, results) => {
    const failed = await loader(many(results).plan, unreachable, clock)(asks('a')).catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 'upstream_failed',
      message: 'feed "/prices/:mint": its loader failed',
      cause: expect.objectContaining({ message: 'odd answer' }),
    })
  })

  test('with a code keeps it', async () => {
    const limited = new WeirError('upstream_limited', 'slow down', { retryAfter: 5000 })
    const failed = loader(many(() => Promise.reject(limited)).plan, unreachable, clock)(asks('a'))
    expect(await failed.catch((error: unknown) => error)).toBe(limited)
  })
})

describe('what a loader asks of the upstream', () => {
  function asking() {
    const sent: UpstreamRequest[] = []
    const asked = feed('/prices/:mint', {
      name: 'price',
      key: Key,
      value: Value,
      from: upstream,
      load: {
        many: async (keys, call) => {
          await call.get('/v3', { query: { ids: keys.map(({ mint }) => mint).join() } })
          return keys.map(() => ({ price: 1 }))
        },
      },
    })
    const answer: UpstreamAnswer = {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{}'),
    }
    const load = loader(
      asked.plan,
      async (request) => {
        sent.push(request)
        return answer
      },
      clock,
    )
    return { load, sent }
  }

  test('is as urgent as the most urgent of those who wait, and has the latest of their deadlines', async () => {
    const { load, sent } = asking()
    await load([ask({ priority: 'live', deadline: 10, key: { mint: 'a' } }), ask({ deadline: 30, key: { mint: 'b' } })])
    expect(sent).toMatchObject([
      { path: '/v3?ids=a%2Cb', priority: 'interactive', deadline: 30, cost: 1, apiKey: undefined },
    ])
  })

  test('is aborted when all who wait have left, and not before', async () => {
    const { load, sent } = asking()
    const controllers = [new AbortController(), new AbortController()]
    await load(controllers.map(({ signal }) => ask({ signal })))
    controllers[0]?.abort()
    expect(sent[0]?.signal?.aborted).toBe(false)
    controllers[1]?.abort()
    expect(sent[0]?.signal?.aborted).toBe(true)
  })

  test('is not aborted while one waits who can not leave', async () => {
    const { load, sent } = asking()
    const controller = new AbortController()
    await load([ask({ signal: controller.signal }), ask()])
    controller.abort()
    expect(sent[0]?.signal?.aborted).toBe(false)
  })
})

describe('a loader that never ends', () => {
  test('is given up, and its signal aborted, at the deadline of those who wait', async () => {
    const { plan } = many(() => new Promise(() => {}))
    const signals: AbortSignal[] = []
    const watching = {
      ...plan,
      load: (keys: readonly unknown[], call: unknown) => {
        signals.push((call as { signal: AbortSignal }).signal)
        return plan.load(keys, call, [])
      },
    }
    const outcomes: unknown[] = []
    const deadline = clock.monotonic() + 5000
    loader(watching, unreachable, clock)([ask({ deadline })]).catch((error: unknown) => outcomes.push(error))
    await clock.advance(5000)
    expect(outcomes).toEqual([])
    // No later than what it waits for could have said so.
    await clock.advance(20)
    expect(outcomes).toMatchObject([{ code: 'upstream_timeout' }])
    expect(signals[0]?.aborted).toBe(true)
    expect(clock.timers).toBe(0)
  })
})
