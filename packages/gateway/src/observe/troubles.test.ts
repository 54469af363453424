import { expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import type { ErrorCode } from '../errors.ts'
import { createTroubles, mergedTroubles } from './troubles.ts'

function open() {
  const clock = new ManualClock()
  const { observe, now } = createTroubles(clock)
  return {
    clock,
    observe,
    now,
    states: () => now().map(({ name, state }) => `${name} ${state}`),
    good: (upstream = 'a', status = 200) => observe({ type: 'pool.answered', upstream, status, took: 1, bytes: 1 }),
    bad: (code: ErrorCode = 'upstream_failed', upstream = 'a') =>
      observe({ type: 'attempt.failed', upstream, code, detail: 'http://10.0.0.7/secret?key=k' }),
  }
}

test.each<[ErrorCode, string]>([
  ['upstream_failed', 'failing'],
  ['upstream_timeout', 'failing'],
  ['upstream_invalid', 'failing'],
  ['upstream_refused', 'refused'],
  ['upstream_quota_exhausted', 'spent'],
  ['upstream_limited', 'resting'],
])('reports an upstream whose calls fail with %s as %s, with its duration and no detail', async (code, state) => {
  const { bad, now, clock } = open()
  bad(code)
  await clock.advance(4500)
  bad(code)
  expect(now()).toEqual([{ of: 'upstream', name: 'a', state, seconds: 4 }])
})

test('any response counts as a success, even an error about the request, and local failures do not count', () => {
  const { good, bad, states } = open()
  bad('over_budget')
  bad('bad_request')
  expect(states()).toEqual([])
  for (const status of [200, 304, 404, 422]) good('a', status)
  bad()
  expect(states()).toEqual([])
})

test('half of the recent calls must fail to be trouble, and successes end it', () => {
  const { good, bad, states } = open()
  for (let call = 0; call < 12; call++) {
    if (call % 3 === 2) bad()
    else good()
    expect(states()).toEqual([])
  }
  bad()
  bad()
  bad()
  expect(states()).toEqual(['a failing'])
  for (let call = 0; call < 4; call++) good()
  expect(states()).toEqual([])
})

test('a provider that calls skip stays reported until a minute after the last skipped call', async () => {
  const { bad, observe, states, clock } = open()
  bad()
  for (let call = 0; call < 5; call++) {
    await clock.advance(30_000)
    observe({ type: 'attempt.skipped', upstream: 'any', provider: 'a', reason: 'its breaker is open' })
    expect(states()).toEqual(['a failing'])
  }
  await clock.advance(60_000)
  expect(states()).toEqual([])
})

test('reports a requested pause until it ends, and a spent key for a minute', async () => {
  const { observe, states, clock } = open()
  observe({ type: 'budget.closed', upstream: 'a', for: 5000, reason: '429' })
  observe({ type: 'budget.closed', upstream: 'b', for: Number.POSITIVE_INFINITY, reason: 'key 1 is used up' })
  expect(states()).toEqual(['a resting', 'b spent'])
  await clock.advance(5000)
  expect(states()).toEqual(['b spent'])
  await clock.advance(55_000)
  expect(states()).toEqual([])
})

test('reports a lost push connection until it is back, or until attempts to reconnect stop', async () => {
  const { observe, now, states, clock } = open()
  observe({ type: 'push.lost', feed: 'pot', why: 'ECONNREFUSED 10.0.0.7' })
  await clock.advance(30_000)
  observe({ type: 'push.lost', feed: 'pot', why: 'ECONNREFUSED 10.0.0.7' })
  await clock.advance(40_000)
  expect(now()).toEqual([{ of: 'push', name: 'pot', state: 'disconnected', seconds: 70 }])
  observe({ type: 'push.connected', feed: 'pot' })
  expect(states()).toEqual([])
  observe({ type: 'push.lost', feed: 'pot', why: 'closed' })
  await clock.advance(60_000)
  expect(states()).toEqual([])
})

test('reports a feed whose watched values are stale for at least two seconds, with their number and the reason', async () => {
  const { observe, now, clock } = open()
  const stale = (topic: string, reason?: string) =>
    observe({ type: 'topic.stale', feed: 'pot', topic, stale: reason !== undefined, ...(reason && { reason }) })
  stale('/pot/a', 'refreshing them fails (upstream_timeout)')
  await clock.advance(1999)
  expect(now()).toEqual([])
  stale('/pot/b', 'no answer has confirmed them in time')
  await clock.advance(1001)
  const reason = '2 watched values: refreshing them fails (upstream_timeout)'
  expect(now()).toEqual([{ of: 'feed', name: 'pot', state: 'stale', seconds: 3, reason }])
  stale('/pot/a')
  await clock.advance(1000)
  const rest = '1 watched value: no answer has confirmed them in time'
  expect(now()).toEqual([{ of: 'feed', name: 'pot', state: 'stale', seconds: 2, reason: rest }])
  stale('/pot/b')
  expect(now()).toEqual([])
})

test('merging the troubles of several processes keeps the longest of each', () => {
  const one = { of: 'upstream', name: 'a', state: 'failing', seconds: 3 } as const
  const other = { of: 'push', name: 'a', state: 'disconnected', seconds: 1 } as const
  expect(mergedTroubles([[one], [], [{ ...one, seconds: 9 }, other]])).toEqual([{ ...one, seconds: 9 }, other])
})
