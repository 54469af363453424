import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import type { WeirEvent } from '../../events.ts'
import { createPoller, type Polled, polled } from './poller.ts'

interface Key extends Polled {
  readonly name: string
  watchers: number
  due: boolean
}

type Came = 'failed' | 'same' | 'changed'

/** `calls`: how many calls a second the budget has for polling. */
function open({ every = 1000, batch = 50, calls = Number.POSITIVE_INFINITY, slowest = 30_000, jitter = 0.5 } = {}) {
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const wishes: number[] = []
  const asked: { name: string; at: number; answer(came: Came): void }[] = []
  const state = { watched: keys('a'), every, calls, automatic: 'same' as Came | undefined }
  const poller = createPoller<Key>({
    feed: 'price',
    clock,
    emit: (event) => void events.push(event),
    every: () => state.every,
    maxInterval: () => slowest,
    batch,
    allot: (wish) => {
      wishes.push(wish)
      return Math.min(wish, state.calls)
    },
    watched: () => state.watched,
    isDue: ({ due }) => due,
    watchers: ({ watchers }) => watchers,
    claim: (some) => some,
    ask: ({ name }) => {
      const { promise, resolve } = Promise.withResolvers<Came>()
      asked.push({ name, at: clock.monotonic() - start, answer: resolve })
      if (state.automatic !== undefined) resolve(state.automatic)
      return promise
    },
    random: () => jitter,
  })
  const times = (name = 'a') => asked.filter((one) => one.name === name).map(({ at }) => at)
  return { clock, events, wishes, asked, state, poller, times }
}

function keys(...names: string[]): Key[] {
  return names.map((name) => ({ ...polled(), name, watchers: 1, due: true }))
}

function many(count: number): Key[] {
  return keys(...Array.from({ length: count }, (_, i) => `k${i}`))
}

describe('a poller', () => {
  test('asks for all that is watched, in rounds', async () => {
    const { clock, asked, state, poller, events } = open()
    state.watched = keys('a', 'b')
    poller.wake()
    await clock.advance(2000)
    expect(asked.map(({ name, at }) => `${name} ${at}`)).toEqual(['a 1000', 'b 1000', 'a 2000', 'b 2000'])
    expect(events[0]).toEqual({ type: 'poller.round', feed: 'price', keys: 2, failed: 0, took: 0 })
  })

  test('woken often runs once', async () => {
    const { clock, times, poller } = open()
    for (let i = 0; i < 5; i++) poller.wake()
    await clock.advance(1000)
    poller.wake()
    await clock.advance(1000)
    expect(times()).toEqual([1000, 2000])
  })

  test('stops when nothing is watched, and begins again when it is woken', async () => {
    const { clock, times, state, poller, wishes } = open()
    poller.wake()
    await clock.advance(1000)
    state.watched = []
    await clock.advance(5000)
    expect(clock.timers).toBe(0)
    expect(wishes.at(-1)).toBe(0)
    state.watched = keys('a')
    poller.wake()
    await clock.advance(1000)
    expect(times()).toEqual([1000, 7000])
  })

  test('goes on while nothing that is watched is due', async () => {
    const { clock, times, state, poller } = open()
    const [a] = state.watched
    poller.wake()
    await clock.advance(1000)
    if (a !== undefined) a.due = false
    await clock.advance(5000)
    if (a !== undefined) a.due = true
    await clock.advance(1000)
    expect(times()).toEqual([1000, 7000])
  })

  test('asks for a key again only when its answer is there, and for the others meanwhile', async () => {
    const { clock, asked, state, poller, times } = open()
    Object.assign(state, { automatic: undefined, watched: keys('slow', 'quick') })
    poller.wake()
    for (let second = 1; second <= 5; second++) {
      await clock.advance(1000)
      for (const one of asked) if (one.name === 'quick') one.answer('same')
      await clock.settle()
    }
    expect(times('quick')).toEqual([1000, 2000, 3000, 4000, 5000])
    expect(times('slow')).toEqual([1000])
    asked[0]?.answer('failed')
    await clock.settle()
    await clock.advance(1000)
    expect(times('slow')).toEqual([1000, 6000])
  })

  test('counts what did not come', async () => {
    const { clock, asked, state, poller, events } = open()
    Object.assign(state, { automatic: undefined, watched: keys('a', 'b', 'c') })
    poller.wake()
    await clock.advance(1000)
    asked.forEach(({ answer }, index) => {
      answer(index === 0 ? 'same' : 'failed')
    })
    await clock.settle()
    expect(events).toMatchObject([{ keys: 3, failed: 2 }])
  })

  test('heeds an interval that changes', async () => {
    const { clock, times, state, poller } = open()
    poller.wake()
    await clock.advance(1000)
    state.every = 3000
    await clock.advance(7000)
    expect(times()).toEqual([1000, 5000, 8000])
  })

  test('comes a little sooner or later than its interval, so that nodes do not ask in step', async () => {
    for (const [jitter, at] of [
      [0, 950],
      [1, 1050],
    ]) {
      const { clock, times, poller } = open({ jitter: jitter ?? 0 })
      poller.wake()
      await clock.advance(1500)
      expect(times()).toEqual([at])
    }
  })

  test('does not ask in a round for what has just been asked for', async () => {
    const { clock, state, poller, times } = open()
    const [a] = state.watched
    poller.wake()
    await clock.advance(700)
    if (a !== undefined) await poller.ask(a)
    await clock.advance(1300)
    expect(times()).toEqual([700, 2000])
  })

  test('stopped asks no more, also when a round was under way', async () => {
    const { clock, asked, times, state, poller } = open()
    state.automatic = undefined
    poller.wake()
    await clock.advance(1000)
    poller.stop()
    asked[0]?.answer('same')
    poller.wake()
    await clock.advance(5000)
    expect(times()).toEqual([1000])
    expect(clock.timers).toBe(0)
  })

  test('wishes for as many calls as full batches need', async () => {
    const { clock, state, poller, wishes } = open({ batch: 50 })
    state.watched = many(120)
    poller.wake()
    await clock.advance(1000)
    expect(wishes).toEqual([3])
  })
})

describe('a poller with fewer calls than it wishes for', () => {
  /** How often each key was asked for in so many seconds. */
  async function counts(opened: ReturnType<typeof open>, seconds: number) {
    opened.poller.wake()
    await opened.clock.advance(seconds * 1000)
    const counted = new Map<string, number>()
    for (const { name } of opened.asked) counted.set(name, (counted.get(name) ?? 0) + 1)
    return counted
  }

  test('keeps to them, in full batches, and serves all in turn', async () => {
    const opened = open({ batch: 10, calls: 2 })
    opened.state.watched = many(100)
    const counted = await counts(opened, 100)
    expect(opened.asked.length).toBeLessThanOrEqual(100 * 20)
    expect(opened.asked.length).toBeGreaterThan(98 * 20)
    expect(Math.min(...counted.values())).toBeGreaterThanOrEqual(18)
    expect(Math.max(...counted.values())).toBeLessThanOrEqual(21)
  })

  test('saves parts of calls: half a call a second is one every other second', async () => {
    const opened = open({ batch: 10, calls: 0.5 })
    opened.state.watched = many(100)
    await counts(opened, 100)
    expect(opened.asked.length / 10).toBeGreaterThanOrEqual(48)
    expect(opened.asked.length / 10).toBeLessThanOrEqual(51)
  })

  test('asks more often for what many watch', async () => {
    const opened = open({ batch: 1, calls: 2 })
    opened.state.watched = many(20)
    for (const key of opened.state.watched.slice(0, 2)) key.watchers = 100
    const counted = await counts(opened, 300)
    expect(counted.get('k0')).toBeGreaterThan(4 * (counted.get('k19') ?? 0))
  })

  test('asks more often for what really changes', async () => {
    const opened = open({ batch: 1, calls: 2 })
    opened.state.watched = many(20)
    opened.state.automatic = undefined
    opened.poller.wake()
    for (let second = 0; second < 300; second++) {
      await opened.clock.advance(1000)
      for (const { name, answer } of opened.asked) answer(name === 'k0' || name === 'k1' ? 'changed' : 'same')
      await opened.clock.settle()
    }
    expect(opened.times('k0').length).toBeGreaterThan(3 * opened.times('k19').length)
  })

  test('does not forget the lonely: they are asked for at least once in the slowest interval', async () => {
    const opened = open({ batch: 1, calls: 4, slowest: 20_000 })
    opened.state.watched = many(40)
    for (const key of opened.state.watched.slice(0, 4)) key.watchers = 1_000_000
    await counts(opened, 300)
    for (let i = 0; i < 40; i++) {
      const times = opened.times(`k${i}`)
      const gaps = times.map((at, index) => at - (times[index - 1] ?? 0))
      expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000)
    }
  })

  test('asks for each as often as it wishes when there is room again', async () => {
    const opened = open({ batch: 10, calls: 1 })
    opened.state.watched = many(50)
    await counts(opened, 10)
    opened.state.calls = 100
    const before = opened.asked.length
    await opened.clock.advance(10_000)
    expect(opened.asked.length - before).toBe(500)
  })
})
