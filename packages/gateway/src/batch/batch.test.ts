import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ask } from '../../test/ask.ts'
import { absence, content } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import type { Ask } from '../call.ts'
import { type Content, ownerOf, privateTopic } from '../entry.ts'
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
  test('is sent before its keys are too long for one call', async () => {
    const { clock, get, topics } = open(10, 100, 8)
    for (const topic of ['aaa', 'bbb', 'ccc', 'dddddddddddd', 'e']) get(topic)
    await clock.advance(100)
    expect(topics()).toEqual([['aaa', 'bbb'], ['ccc'], ['dddddddddddd'], ['e']])
  })

  test('is sent with all keys when its window is over', async () => {
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

  test('is sent at once when it is full, and the next begins its own window', async () => {
    const { clock, get, sent, topics } = open()
    for (const topic of ['a', 'b', 'c', 'd']) get(topic)
    expect(topics()).toEqual([['a', 'b', 'c']])
    await clock.advance(99)
    expect(topics()).toHaveLength(1)
    await clock.advance(1)
    expect(topics()[1]).toEqual(['d'])
    for (const { answer, asks } of sent) answer(asks.map(() => content(1)))
    await clock.settle()
    expect(clock.timers).toBe(0)
  })

  test('of one key never waits', () => {
    const { get, topics, clock } = open(1)
    get('a')
    get('b')
    expect(topics()).toEqual([['a'], ['b']])
    expect(clock.timers).toBe(0)
  })

  test('without a window waits only for queued work', async () => {
    const { clock, get, topics } = open(10, 0)
    get('a')
    get('b')
    await clock.advance(0)
    expect(topics()).toEqual([['a', 'b']])
  })

  test('gives each key its own result: a value, absence or an error', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.answer([content(1), absence('not priced'), new Error('poison')])
    await clock.settle()
    expect(outcomes).toEqual({ a: '1', b: 'not priced', c: 'poison' })
  })

  test('with a repeated key answers both', async () => {
    const { clock, sent } = open()
    const stage = batch<Content>({ feed: 'price', most: 3, within: 0, clock, emit: () => {} })(async (asks) => {
      sent.push({ asks, answer: () => {}, fail: () => {} })
      return asks.map((_, index) => content(index))
    })
    const answers = [stage(ask()), stage(ask()), stage(ask({ topic: 'other' }))]
    await clock.settle()
    expect((await Promise.all(answers)).map(({ json }) => String(json))).toEqual(['0', '1', '2'])
    expect(sent).toHaveLength(1)
  })

  test('fails every key when the call fails', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.fail(new Error('away'))
    await clock.settle()
    expect(outcomes).toEqual({ a: 'away', b: 'away', c: 'away' })
  })

  test('with too few results fails only the keys without one', async () => {
    const { clock, get, sent, outcomes } = open()
    for (const topic of ['a', 'b', 'c']) get(topic)
    sent[0]?.answer([content(1)])
    await clock.settle()
    expect(outcomes).toEqual({ a: '1', b: 'upstream_invalid', c: 'upstream_invalid' })
  })

  test('does not mix priorities', async () => {
    const { clock, get, topics } = open()
    get('a', { priority: 'live' })
    get('b', { priority: 'interactive' })
    get('c', { priority: 'live' })
    await clock.advance(100)
    expect(topics()).toEqual([['a', 'c'], ['b']])
  })

  test('is sent without keys whose waiters left, and those fail with the reason', async () => {
    const { clock, get, topics, outcomes } = open()
    const controller = new AbortController()
    get('a', { signal: controller.signal })
    get('b')
    controller.abort(new Error('left'))
    await clock.advance(100)
    expect(outcomes).toEqual({ a: 'left' })
    expect(topics()).toEqual([['b']])
  })

  test('without waiters is not sent', async () => {
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

  test('rejects a caller that has already aborted, without using a place', async () => {
    const { clock, get, sent, outcomes } = open()
    get('a', { signal: AbortSignal.abort(new Error('left')) })
    await clock.advance(100)
    expect(outcomes).toEqual({ a: 'left' })
    expect(sent).toEqual([])
  })
})

describe('a batch with a bad key', () => {
  const KEYS = Array.from({ length: 50 }, (_, index) => `k${index}`)
  const poisoned = () => new WeirError('upstream_failed', 'bad request', { upstreamStatus: 400 })

  /** Answers all calls until none is left. A call with a bad key fails. */
  async function settle({ clock, sent }: ReturnType<typeof open>, bad: ReadonlySet<string>, error = poisoned()) {
    for (let next = 0; next < sent.length; next++) {
      const { asks, answer, fail } = sent[next] as (typeof sent)[number]
      // Calls of earlier rounds are settled, and settling them again has no effect.
      if (asks.some(({ topic }) => bad.has(topic))) fail(error)
      else answer(asks.map(({ topic }) => content(topic)))
      await clock.settle()
    }
  }

  test.each(KEYS.map((key) => [key]))(
    '%s fails alone, and finding it takes at most 2 calls per halving',
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

  test('makes three bad keys fail alone too', async () => {
    const opened = open(50)
    for (const each of KEYS) opened.get(each)
    await settle(opened, new Set(['k0', 'k24', 'k49']))
    const failed = KEYS.filter((key) => opened.outcomes[key] === 'upstream_failed')
    expect(failed).toEqual(['k0', 'k24', 'k49'])
  })

  test('finds a key for which the upstream fails, and fetches it alone from then on', async () => {
    const opened = open(50, 10)
    const error = new WeirError('upstream_failed', 'boom', { upstreamStatus: 500 })
    const round = async () => {
      for (const each of KEYS) opened.get(each)
      await opened.clock.advance(10)
      await settle(opened, new Set(['k7']), error)
    }
    await round()
    expect(KEYS.filter((key) => opened.outcomes[key] !== JSON.stringify(key))).toEqual(['k7'])
    const before = opened.sent.length
    await round()
    expect(opened.topics().slice(before)).toEqual([KEYS.filter((key) => key !== 'k7'), ['k7']])
  })

  test.each([
    ['answers everything with invalid content', new WeirError('upstream_invalid', 'html'), 1 + 2 + 4],
    ['is down', new WeirError('upstream_failed', 'down', { upstreamStatus: 503 }), 7],
    ['breaks off each call', new WeirError('upstream_failed', 'reset'), 7],
    ['forbids everything', new WeirError('upstream_refused', 'forbidden', { upstreamStatus: 403 }), 7],
    ['accepts no connection', new WeirError('upstream_failed', 'refused', { unreachable: true }), 1],
    ['limits the rate', new WeirError('upstream_limited', 'slow down', { upstreamStatus: 429 }), 1],
    ['is slow', new WeirError('upstream_timeout', 'slow'), 1 + 2],
    ['has no budget left', new WeirError('over_budget', 'full'), 1],
    ['fails with an unknown error', new Error('what'), 1],
  ])('does not call an upstream that %s once per key', async (_, error, calls) => {
    const opened = open(50)
    for (const each of KEYS) opened.get(each)
    await settle(opened, new Set(KEYS), error as WeirError)
    expect(opened.sent).toHaveLength(calls)
    expect(Object.keys(opened.outcomes)).toHaveLength(50)
  })

  const poisons = [
    ['forbidden', new WeirError('upstream_refused', 'forbidden', { upstreamStatus: 403 })],
    ['reset or cut', new WeirError('upstream_failed', 'ECONNRESET')],
    ['a failure', new WeirError('upstream_failed', 'boom', { upstreamStatus: 500 })],
    ['invalid', new WeirError('upstream_invalid', 'html')],
  ] as const

  test.each(poisons)(
    'with a key that makes the call %s fails only that key, from the first batch of a gateway on',
    async (_, error) => {
      const opened = open(50)
      for (const each of ['bad', 'honest']) opened.get(each)
      await opened.clock.advance(100)
      await settle(opened, new Set(['bad']), error)
      expect(opened.outcomes).toEqual({ bad: error.code, honest: '"honest"' })
    },
  )

  test.each(poisons)('with another bad key of one client each time fails no good key (%s)', async (_, error) => {
    const opened = open(50, 10)
    for (let turn = 0; turn < 200; turn++) {
      const bad = [`bad${turn}`, `worse${turn}`]
      opened.get(`a${turn}`, { client: 'honest' })
      for (const each of bad) opened.get(each, { client: 'attacker' })
      opened.get(`b${turn}`, { client: 'other' })
      await opened.clock.advance(10)
      await settle(opened, new Set(bad), error)
    }
    expect(Object.keys(opened.outcomes).filter((key) => opened.outcomes[key] === error.code)).toHaveLength(400)
    // Its keys share no call with others, and splitting them takes at most one call a second.
    expect(opened.sent.length).toBeLessThan(200 * 2 + 50)
  })

  test('does not cause more calls to an upstream that is down', async () => {
    const opened = open(4, 10)
    const all = new Set<string>()
    for (let turn = 0; turn < 500; turn++) {
      for (let each = 0; each < 4; each++) {
        all.add(`${turn} ${each}`)
        opened.get(`${turn} ${each}`, { client: `c${each}` })
      }
      await opened.clock.advance(10)
      await settle(opened, all, new WeirError('upstream_failed', 'boom', { upstreamStatus: 500 }))
    }
    expect(opened.sent.length).toBeLessThanOrEqual(500 + 2 * 6 + 2 * 5)
    expect(Object.keys(opened.outcomes)).toHaveLength(2000)
  })

  test.each(poisons)(
    'whose keys all fail (%s) is split once, then again after an answer and after ten seconds',
    async (_, error) => {
      const opened = open(4, 10)
      const keys = ['a', 'b', 'c', 'd']
      const failing = new Set(keys)
      const ask = async () => {
        const before = opened.sent.length
        for (const each of keys) opened.get(each, { client: `c${each}` })
        await opened.clock.advance(3000)
        await settle(opened, failing, error)
        return opened.sent.length - before
      }
      expect(await ask()).toBe(1 + 2 + 4)
      for (let turn = 0; turn < 3; turn++) expect(await ask()).toBe(1)
      // After ten seconds the upstream may be back.
      expect(await ask()).toBeGreaterThan(1)
      opened.get('well')
      await opened.clock.advance(3000)
      await settle(opened, failing, error)
      expect(await ask()).toBeGreaterThan(1)
    },
  )

  test('answers the good keys of other clients for two calls per key', async () => {
    const turns = fc.array(
      fc.record({ honest: fc.integer({ min: 1, max: 6 }), bad: fc.array(fc.nat(3), { maxLength: 8 }) }),
      { minLength: 1, maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(turns, fc.constantFrom(...poisons), async (story, [, error]) => {
        const opened = open(50, 10)
        const bad = new Set<string>()
        for (const [turn, given] of story.entries()) {
          // Bad keys come first, last and in between.
          for (const [index, client] of given.bad.entries()) {
            const key = `bad${turn} ${index}`
            bad.add(key)
            opened.get(key, { client: `attacker${client}` })
            if (index < given.honest) opened.get(`good${turn} ${index}`, { client: `honest${index}` })
          }
          for (let index = given.bad.length; index < given.honest; index++)
            opened.get(`good${turn} ${index}`, { client: `honest${index}` })
          await opened.clock.advance(10)
          await settle(opened, bad, error)
        }
        const failed = Object.keys(opened.outcomes).filter((key) => opened.outcomes[key] === error.code)
        expect(new Set(failed)).toEqual(bad)
        const keys = Object.keys(opened.outcomes).length
        expect(opened.sent.length).toBeLessThanOrEqual(2 * keys + story.length + 12)
      }),
      { numRuns: 100 },
    )
  })

  test('does not fetch again for waiters that left', async () => {
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

/** An upstream whose calls take as long as their slowest key, and the time and outcome of each key. */
function openTimed(takes: (topic: string, at: number) => number, given: { most?: number; within?: number } = {}) {
  const { most = 50, within = 10 } = given
  const clock = new ManualClock()
  const begun = clock.monotonic()
  const at = () => clock.monotonic() - begun
  const sent: { at: number; topics: readonly string[]; signal: AbortSignal | undefined }[] = []
  const outcomes: { topic: string; at: number; said: string }[] = []
  const stage = batch({ feed: 'price', most, within, clock, emit: () => {} })((asks) => {
    const topics = asks.map(({ topic }) => topic)
    const signal = asks[0]?.signal
    sent.push({ at: at(), topics, signal })
    const time = Math.max(...topics.map((topic) => takes(topic, at())))
    const deadline = Math.max(...asks.map(({ deadline }) => deadline))
    return new Promise((resolve, reject) => {
      const answer = clock.after(time, () => {
        late.stop()
        resolve(topics.map(content))
      })
      const late = clock.after(deadline - clock.monotonic(), () => {
        answer.stop()
        reject(new WeirError('upstream_timeout', 'slow'))
      })
      signal?.addEventListener('abort', () => {
        answer.stop()
        late.stop()
        reject(signal.reason)
      })
    })
  })
  const get = (topic: string, patience = 10_000, signal?: AbortSignal, client = 'a') => {
    const deadline = clock.monotonic() + patience
    stage(ask({ topic, deadline, signal, client })).then(
      ({ json }) => outcomes.push({ topic, at: at(), said: JSON.parse(String(json)) }),
      (error: WeirError) => outcomes.push({ topic, at: at(), said: error.code ?? error.message }),
    )
  }
  /** Fetches all keys in one batch, and returns how long each took. */
  const round = async (topics: readonly string[], lasts = 12_000) => {
    const [from, calls] = [at(), sent.length]
    outcomes.length = 0
    for (const topic of topics) get(topic)
    await clock.advance(lasts)
    const took = Object.fromEntries(outcomes.map(({ topic, at }) => [topic, at - from]))
    return { took, calls: sent.slice(calls).map(({ topics }) => topics) }
  }
  return { clock, get, round, sent, outcomes }
}

describe('a batch with a slow key', () => {
  const KEYS = Array.from({ length: 50 }, (_, index) => `k${index}`)
  const slowly = (slow: ReadonlySet<string>, takes = 9000) =>
    openTimed((topic) => (slow.has(topic) ? takes : 50), { most: 50 })

  test.each([0, 17, 49])('does not delay the others, from the second time on not at all (key %i)', async (index) => {
    const slow = new Set<string>()
    const { round, clock } = slowly(slow)
    await round(KEYS)
    const bad = `k${index}`
    slow.add(bad)
    const first = await round(KEYS)
    const others = KEYS.filter((key) => key !== bad)
    // Six halvings, each after three times the typical duration.
    for (const key of others) expect(first.took[key]).toBeLessThanOrEqual(7 * 150)
    expect(first.took[bad]).toBe(9000)
    expect(first.calls.length - 1).toBeLessThanOrEqual(12)
    for (let i = 0; i < 5; i++) {
      const next = await round(KEYS)
      for (const key of others) expect(next.took[key]).toBe(60)
      expect(next.took[bad]).toBe(9010)
      expect(next.calls).toEqual(expect.arrayContaining([[bad], others]))
      expect(next.calls).toHaveLength(2)
    }
    expect(clock.timers).toBe(0)
  })

  test('blames no key while the whole upstream is slow', async () => {
    const slow = new Set<string>()
    const { round } = slowly(slow)
    await round(KEYS)
    for (const key of KEYS) slow.add(key)
    await round(KEYS)
    slow.clear()
    expect((await round(KEYS)).calls).toEqual([KEYS])
  })

  test('finds the slow key as quickly after a call that hung', async () => {
    const slow = new Set<string>()
    let takes = 50
    const { round } = openTimed((topic) => (slow.has(topic) ? 9000 : takes), { most: 50 })
    await round(['a'])
    takes = 9000
    await round(['b'])
    takes = 50
    slow.add('k3')
    const { took } = await round(KEYS)
    for (const key of KEYS.filter((key) => key !== 'k3')) expect(took[key]).toBeLessThanOrEqual(7 * 210)
  })

  test('does not put private values of two callers in one call', async () => {
    const slow = new Set<string>()
    const { round } = openTimed((topic) => (slow.has(topic) ? 9000 : 50))
    const all = KEYS.slice(0, 16).flatMap((key) => [privateTopic(key, 'u:1'), privateTopic(key, 'u:2')])
    await round(all)
    for (const topic of all.slice(0, 12)) slow.add(topic)
    for (let i = 0; i < 3; i++) {
      const { calls } = await round(all)
      for (const topics of calls) expect(new Set(topics.map(ownerOf)).size).toBe(1)
    }
  })

  test('includes the key again once it was quick', async () => {
    const slow = new Set<string>()
    const { round } = slowly(slow)
    await round(KEYS)
    slow.add('k3')
    await round(KEYS)
    slow.clear()
    expect((await round(KEYS)).calls).toHaveLength(2)
    expect((await round(KEYS)).calls).toEqual([KEYS])
  })

  test('finds the key even if it hangs from the first call on', async () => {
    const { round } = slowly(new Set(['k3']), 60_000)
    await round(KEYS)
    const { took, calls } = await round(KEYS)
    expect(calls).toContainEqual(['k3'])
    expect(KEYS.filter((key) => (took[key] ?? Number.POSITIVE_INFINITY) > 60)).toEqual(['k3'])
  })

  test('with two slow keys delays the others for neither', async () => {
    const slow = new Set<string>()
    const { round } = slowly(slow)
    await round(KEYS)
    slow.add('k3').add('k30')
    for (let i = 0; i < 4; i++) await round(KEYS)
    const { took, calls } = await round(KEYS)
    expect(calls).toHaveLength(3)
    expect(KEYS.filter((key) => (took[key] ?? Number.POSITIVE_INFINITY) > 60)).toEqual(['k3', 'k30'])
  })
})

test('a client that requests new hanging keys delays those of others once', async () => {
  const { clock, get, outcomes } = openTimed((topic) => (topic.includes('hang') ? 60_000 : 50))
  get('warm')
  await clock.advance(1000)
  for (let n = 0; n < 400; n++) {
    get(`good${n}`, 10_000, undefined, 'good')
    get(`hang${n}`, 2000, undefined, 'bad')
    await clock.advance(100)
  }
  await clock.advance(5000)
  const began = (topic: string) => 1000 + Number(topic.slice(4)) * 100
  const waits = outcomes.filter(({ topic }) => topic.startsWith('good')).map(({ topic, at }) => at - began(topic))
  expect(waits).toHaveLength(400)
  // Keys in calls that were sent before the first was late.
  expect(Math.max(...waits)).toBeLessThan(300)
  expect(waits.filter((wait) => wait > 60).length).toBeLessThan(10)
})

describe('a late batch', () => {
  /** Calls take 50 ms, and then as long as given for each. */
  const lasting = async (takes: readonly number[]) => {
    let calls = 0
    // The first call, of four keys, sets the typical duration.
    const opened = openTimed(() => takes[Math.floor(calls++ / 4)] ?? 50, { most: 4 })
    await opened.round(['a', 'b', 'c', 'd'], 1000)
    return opened
  }

  test('that answers before its halves answers all keys, and the halves are aborted', async () => {
    const { round, sent } = await lasting([50, 400])
    const slow = new Set(['a', 'b', 'c', 'd'])
    const { took } = await round([...slow], 300)
    expect(Object.keys(took)).toHaveLength(4)
    expect(sent.map(({ topics }) => topics.length)).toEqual([4, 4, 2, 2])
  })

  test('is aborted when its halves have answered all keys', async () => {
    const { round, sent, clock } = await lasting([50, 9000])
    const { took } = await round(['a', 'b', 'c', 'd'], 1000)
    expect(took).toEqual({ a: 200, b: 200, c: 200, d: 200 })
    expect(sent.map(({ signal }) => signal?.aborted)).toEqual([false, true, false, false])
    expect(clock.timers).toBe(0)
  })

  test('still answers when its halves fail', async () => {
    const { clock, get, sent, outcomes } = open(2, 0)
    const deadline = clock.monotonic() + 1000
    get('a', { deadline })
    get('b', { deadline })
    await clock.advance(500)
    expect(sent.map(({ asks }) => asks.length)).toEqual([2, 1, 1])
    for (const { fail } of sent.slice(1)) fail(new WeirError('over_budget', 'full'))
    await clock.settle()
    expect(outcomes).toEqual({})
    sent[0]?.answer([content(1), content(2)])
    await clock.settle()
    expect(outcomes).toEqual({ a: '1', b: '2' })
  })

  test('is aborted together with its halves when all waiters left', async () => {
    const { clock, get, sent } = openTimed(() => 9000)
    const controllers = ['a', 'b', 'c'].map((topic) => {
      const controller = new AbortController()
      get(topic, 10_000, controller.signal)
      return controller
    })
    await clock.advance(6000)
    expect(sent.length).toBeGreaterThan(1)
    for (const controller of controllers) controller.abort(new Error('left'))
    await clock.settle()
    expect(sent.every(({ signal }) => signal?.aborted)).toBe(true)
    expect(clock.timers).toBe(0)
  })
})

describe('the deadlines of a batch', () => {
  test('the earliest deadline fails only its own key', async () => {
    const { clock, get, outcomes } = openTimed(() => 800)
    get('hasty', 300)
    get('patient', 5000)
    await clock.advance(6000)
    expect(outcomes).toEqual([
      { topic: 'hasty', at: 300, said: 'upstream_timeout' },
      { topic: 'patient', at: 810, said: 'patient' },
    ])
    expect(clock.timers).toBe(0)
  })
})

describe('the law of a batch', () => {
  test('answers each ask once, and a slow upstream gets at most a tenth more calls and a few', async () => {
    const times = fc.record({
      usual: fc.constantFrom(5, 50, 700),
      slow: fc.constantFrom(400, 3000, 12_000),
      /** When everything becomes slow. */
      from: fc.integer({ min: 0, max: 3000 }),
      rounds: fc.array(
        fc.record({
          after: fc.constantFrom(0, 20, 400),
          keys: fc.integer({ min: 1, max: 9 }),
          patience: fc.constantFrom(200, 2000, 10_000),
          leaves: fc.boolean(),
        }),
        { minLength: 1, maxLength: 40 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(times, async ({ usual, slow, from, rounds }) => {
        const { clock, get, sent, outcomes } = openTimed((_, at) => (at >= from ? slow : usual), { most: 4 })
        let asked = 0
        for (const { after, keys, patience, leaves } of rounds) {
          await clock.advance(after)
          for (let i = 0; i < keys; i++) {
            const controller = new AbortController()
            get(`${asked++}`, patience, controller.signal)
            if (leaves && i === 0) clock.after(patience / 4, () => controller.abort(new Error('left')))
          }
        }
        await clock.advance(30_000)
        expect(outcomes.map(({ topic }) => Number(topic)).sort((a, b) => a - b)).toEqual(
          Array.from({ length: asked }, (_, topic) => topic),
        )
        const first = new Set<string>()
        const firsts = sent.filter(({ topics }) => {
          const fresh = topics.some((topic) => !first.has(topic))
          for (const topic of topics) first.add(topic)
          return fresh
        }).length
        expect(sent.length - firsts).toBeLessThanOrEqual(0.1 * firsts + 12)
        expect(clock.timers).toBe(0)
      }),
      { numRuns: 200 },
    )
  })
})
