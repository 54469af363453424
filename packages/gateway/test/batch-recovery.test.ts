import { expect, test } from 'vitest'
import { batch } from '../src/batch/batch.ts'
import { WeirError } from '../src/errors.ts'
import { ask } from './ask.ts'
import { ManualClock } from './manual-clock.ts'

/** A key fails all the time; then the upstream is down for so many seconds, and works again. */
test.each([1, 5, 29, 35, 60])(
  'good keys come back after an outage of %i s beside a key that failed before',
  async (seconds) => {
    const clock = new ManualClock()
    let down = false
    const stage = batch<string>({ feed: 'f', most: 100, within: 10, clock, emit: () => {} })
    const send = stage(async (asks) => {
      const ids = asks.map(({ topic }) => topic)
      await new Promise<void>((resolve) => void clock.after(5, resolve))
      if (down || ids.includes('/bad')) throw new WeirError('upstream_failed', 'status 500')
      return ids
    })
    const fetch = (topic: string) => {
      const given = { topic, client: 'poller', priority: 'live', deadline: clock.monotonic() + 5000 } as const
      return send(ask(given)).then(
        () => 'ok',
        () => 'failed',
      )
    }
    const round = async () => {
      const all = Promise.all(['/a', '/b', '/bad'].map(fetch))
      await clock.advance(1000)
      return all
    }
    for (let n = 0; n < 10; n++) await round()
    expect(await round()).toEqual(['ok', 'ok', 'failed'])
    down = true
    for (let n = 0; n < seconds; n++) await round()
    down = false
    for (let n = 0; n < 60; n++) await round()
    expect(await round()).toEqual(['ok', 'ok', 'failed'])
  },
)

/** 96 watched keys that are due together every second, of which some fail every call they are in. */
test.each([1, 2, 4, 6, 8, 12, 16, 24])(
  'good keys are answered beside %i bad ones of 96, after a start with all of them',
  async (bad) => {
    const clock = new ManualClock()
    const stage = batch<string>({ feed: 'f', most: 100, within: 10, clock, emit: () => {} })
    const send = stage(async (asks) => {
      const ids = asks.map(({ topic }) => topic)
      await new Promise<void>((resolve) => void clock.after(5, resolve))
      if (ids.some((id) => id.startsWith('/bad'))) throw new WeirError('upstream_refused', 'status 400')
      return ids
    })
    const every = 96 / bad
    const topics = Array.from({ length: 96 }, (_, n) => (n % every === 0 ? `/bad${n}` : `/good${n}`))
    const fetch = (topic: string) => {
      const given = { topic, client: 'poller', priority: 'live', deadline: clock.monotonic() + 5000 } as const
      return send(ask(given)).then(
        () => 1,
        () => 0,
      )
    }
    const answered: number[] = []
    for (let n = 0; n < 60; n++) {
      const all = Promise.all(topics.map(fetch))
      await clock.advance(1000)
      answered.push((await all).reduce<number>((sum, one) => sum + one, 0))
    }
    expect(answered.at(-1)).toBe(96 - bad)
  },
)
