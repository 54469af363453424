import { describe, expect, test } from 'vitest'
import { ask } from '../../test/ask.ts'
import { absence, content } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import type { Ask } from '../call.ts'
import type { Content } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { WeirEvent } from '../events.ts'
import { batch } from './batch.ts'

function open(most = 3, within = 100, bytes = 1000) {
  const clock = new ManualClock()
  const events: WeirEvent[] = []
  const sent: {
    asks: readonly Ask[]
    answer(results: readonly (Content | Error)[]): void
    fail(error: Error): void
  }[] = []
  const emit = (event: WeirEvent) => void events.push(event)
  const stage = batch({ feed: 'price', most, within, bytes, clock, emit })((asks) => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly (Content | Error)[]>()
    sent.push({ asks, answer: resolve, fail: reject })
    return promise
  })
  const outcomes: Record<string, unknown> = {}
  const get = (topic: string, given: Partial<Ask> = {}) => {
    stage(ask({ topic, ...given })).then(
      (got: Content) => {
        outcomes[topic] = got.json?.toString() ?? got.reason
      },
      (error: Error & { code?: string }) => {
        outcomes[topic] = error.code ?? error.message
      },
    )
  }
  const topics = () => sent.map(({ asks }) => asks.map(({ topic }) => topic))
  return { clock, get, sent, topics, outcomes, events }
}

describe('a batch', () => {
  test('leaves before its keys are too much text for one call', async () => {
    const { clock, get, topics } = open(10, 100, 8)
    for (const topic of ['aaa', 'bbb', 'ccc', 'dddddddddddd', 'e']) get(topic)
    await clock.advance(100)
    expect(topics()).toEqual([['aaa', 'bbb'], ['ccc'], ['dddddddddddd'], ['e']])
  })

  test('leaves when its window is over, with all that came', async () => {
    const { clock, get, topics, events } = open()
    get('a')
    await clock.advance(60)
    get('b')
    await clock.advance(39)
    expect(topics()).toEqual([])
    await clock.advance(1)
    expect(topics()).toEqual([['a', 'b']])
    expect(events).toEqual([{ type: 'batch.sent', feed: 'price', keys: 2 }])
  })

  test('leaves at once when it is full, and the next begins a window of its own', async () => {
    const { clock, get, topics } = open()
    for (const topic of ['a', 'b', 'c', 'd']) get(topic)
    expect(topics()).toEqual([['a', 'b', 'c']])
    await clock.advance(99)
    expect(topics()).toHaveLength(1)
    await clock.advance(1)
    expect(topics()[1]).toEqual(['d'])
    expect(clock.timers).toBe(0)
  })

  test('of one key never waits', () => {
    const { get, topics, clock } = open(1)
    get('a')
    get('b')
    expect(topics()).toEqual([['a'], ['b']])
    expect(clock.timers).toBe(0)
  })

  test('without a window waits for the work at hand only', async () => {
    const { clock, get, topics } = open(10, 0)
    get('a')
    get('b')
    await clock.advance(0)
    expect(topics()).toEqual([['a', 'b']])
  })

  test('hands each key its own: a value, absence or an error', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.answer([content(1), absence('not priced'), new Error('poison')])
    await clock.settle()
    expect(outcomes).toEqual({ a: '1', b: 'not priced', c: 'poison' })
  })

  test('fails every key when the call fails', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.fail(new Error('away'))
    await clock.settle()
    expect(outcomes).toEqual({ a: 'away', b: 'away', c: 'away' })
  })

  test('of which too few results come fails only those without one', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.answer([content(1)])
    await clock.settle()
    expect(outcomes).toEqual({ a: '1', b: 'upstream_invalid', c: 'upstream_invalid' })
  })

  test('does not mix classes', async () => {
    const { clock, get, topics } = open()
    get('a', { priority: 'live' })
    get('b', { priority: 'interactive' })
    get('c', { priority: 'live' })
    await clock.advance(100)
    expect(topics()).toEqual([['a', 'c'], ['b']])
  })

  test('leaves without those who have left meanwhile, and they fail with the reason', async () => {
    const { clock, get, topics, outcomes } = open()
    const controller = new AbortController()
    get('a', { signal: controller.signal })
    get('b')
    controller.abort(new Error('left'))
    await clock.advance(100)
    expect(outcomes).toEqual({ a: 'left' })
    expect(topics()).toEqual([['b']])
  })

  test('that everybody has left is not sent', async () => {
    const { clock, get, sent } = open()
    const controller = new AbortController()
    get('a', { signal: controller.signal })
    controller.abort()
    await clock.advance(100)
    expect(sent).toEqual([])
    get('b')
    await clock.advance(100)
    expect(sent).toHaveLength(1)
  })

  test('who has left before it came fails with the reason, and takes no place', async () => {
    const { clock, get, sent, outcomes } = open()
    get('a', { signal: AbortSignal.abort(new Error('left')) })
    await clock.advance(100)
    expect(outcomes).toEqual({ a: 'left' })
    expect(sent).toEqual([])
  })
})

describe('a batch in which a key is bad', () => {
  const KEYS = Array.from({ length: 50 }, (_, index) => `k${index}`)
  const poisoned = () => new WeirError('upstream_failed', 'bad request', { upstreamStatus: 400 })

  /** Answers every call that came, until no more come: it fails when a bad key is in it. */
  async function settle({ clock, sent }: ReturnType<typeof open>, bad: ReadonlySet<string>, error = poisoned()) {
    for (let next = 0; next < sent.length; next++) {
      const { asks, answer, fail } = sent[next] as (typeof sent)[number]
      if (asks.some(({ topic }) => bad.has(topic))) fail(error)
      else answer(asks.map(({ topic }) => content(topic)))
      await clock.settle()
    }
  }

  test.each(KEYS.map((key) => [key]))(
    '%s alone fails, and finding it takes at most 2 calls for each halving',
    async (key) => {
      const opened = open(50)
      for (const each of KEYS) opened.get(each)
      await settle(opened, new Set([key]))
      expect(opened.outcomes).toEqual(
        Object.fromEntries(KEYS.map((each) => [each, each === key ? 'upstream_failed' : JSON.stringify(each)])),
      )
      expect(opened.sent.length - 1).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(50)))
    },
  )

  test('three bad keys fail alone too', async () => {
    const opened = open(50)
    for (const each of KEYS) opened.get(each)
    await settle(opened, new Set(['k0', 'k24', 'k49']))
    const failed = KEYS.filter((key) => opened.outcomes[key] === 'upstream_failed')
    expect(failed).toEqual(['k0', 'k24', 'k49'])
  })

  test.each([
    ['answers nonsense whatever it is asked', new WeirError('upstream_invalid', 'html'), 1 + 2 + 4],
    ['is down', new WeirError('upstream_failed', 'down', { upstreamStatus: 503 }), 1],
    ['is away', new WeirError('upstream_failed', 'reset'), 1],
    ['is slow', new WeirError('upstream_timeout', 'slow'), 1],
    ['has no budget left', new WeirError('over_budget', 'full'), 1],
    ['fails in a way nobody knows', new Error('what'), 1],
  ])('an upstream that %s is not asked once for each key', async (_, error, calls) => {
    const opened = open(50)
    for (const each of KEYS) opened.get(each)
    await settle(opened, new Set(KEYS), error as WeirError)
    expect(opened.sent).toHaveLength(calls)
    expect(Object.keys(opened.outcomes)).toHaveLength(50)
  })

  test('those who leave meanwhile are not asked for again', async () => {
    const opened = open(5)
    const controller = new AbortController()
    for (const each of ['a', 'b', 'bad']) opened.get(each)
    opened.get('leaver', { signal: controller.signal })
    await opened.clock.advance(100)
    controller.abort(new Error('left'))
    await settle(opened, new Set(['bad']))
    expect(opened.topics()).toEqual([['a', 'b', 'bad', 'leaver'], ['a', 'b'], ['bad']])
    expect(opened.outcomes).toEqual({ a: '"a"', b: '"b"', bad: 'upstream_failed', leaver: 'left' })
  })
})
