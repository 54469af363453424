import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import type { WeirEvent } from '../events.ts'
import { createPoller } from './poller.ts'

function open({ every = 1000 } = {}) {
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const asked: { key: string; at: number; answer(came: boolean): void }[] = []
  const state = { watched: ['a'], every, automatic: true }
  const poller = createPoller<string>({
    feed: 'price',
    clock,
    emit: (event) => void events.push(event),
    every: () => state.every,
    due: () => state.watched,
    ask: (key) => {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      asked.push({ key, at: clock.monotonic() - start, answer: resolve })
      if (state.automatic) resolve(true)
      return promise
    },
  })
  return { clock, events, asked, state, poller, times: () => asked.map(({ at }) => at) }
}

describe('a poller', () => {
  test('asks for all that is watched, in rounds', async () => {
    const { clock, asked, state, poller, events } = open()
    state.watched = ['a', 'b']
    poller.wake()
    await clock.advance(2000)
    expect(asked.map(({ key, at }) => `${key} ${at}`)).toEqual(['a 1000', 'b 1000', 'a 2000', 'b 2000'])
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
    const { clock, times, state, poller } = open()
    poller.wake()
    await clock.advance(1000)
    state.watched = []
    await clock.advance(5000)
    expect(clock.timers).toBe(0)
    state.watched = ['a']
    poller.wake()
    await clock.advance(1000)
    expect(times()).toEqual([1000, 7000])
  })

  test('does not pile up rounds while the upstream hangs, and goes on at once when it answers', async () => {
    const { clock, asked, times, state, poller } = open()
    state.automatic = false
    poller.wake()
    await clock.advance(8000)
    expect(times()).toEqual([1000])
    asked[0]?.answer(false)
    await clock.advance(0)
    expect(times()).toEqual([1000, 9000 - 1000])
    expect(poller.took).toBe(7000)
  })

  test('takes the time of a round off the wait for the next', async () => {
    const { clock, asked, times, state, poller } = open()
    state.automatic = false
    poller.wake()
    await clock.advance(1300)
    asked[0]?.answer(true)
    await clock.advance(1000)
    expect(times()).toEqual([1000, 2000])
  })

  test('counts what did not come', async () => {
    const { clock, asked, state, poller, events } = open()
    Object.assign(state, { automatic: false, watched: ['a', 'b', 'c'] })
    poller.wake()
    await clock.advance(1000)
    asked.forEach(({ answer }, index) => {
      answer(index === 0)
    })
    await clock.settle()
    expect(events).toMatchObject([{ keys: 3, failed: 2 }])
  })

  test('heeds an interval that changes', async () => {
    const { clock, times, state, poller } = open()
    poller.wake()
    await clock.advance(1000)
    state.every = 3000
    await clock.advance(5000)
    expect(times()).toEqual([1000, 2000, 5000])
  })

  test('stopped asks no more, also when a round was under way', async () => {
    const { clock, asked, times, state, poller } = open()
    state.automatic = false
    poller.wake()
    await clock.advance(1000)
    poller.stop()
    asked[0]?.answer(true)
    poller.wake()
    await clock.advance(5000)
    expect(times()).toEqual([1000])
    expect(clock.timers).toBe(0)
  })
})
