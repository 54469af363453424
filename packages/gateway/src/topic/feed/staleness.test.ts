import { describe, expect, test } from 'vitest'
import { type Facts, staleFrom, staleReason } from './staleness.ts'

const NEVER = Number.POSITIVE_INFINITY
const ALREADY = Number.NEGATIVE_INFINITY

/** A value that is fresh until 1000 and asked for every 100 ms, and nothing else is known of it. */
const PLAIN: Facts = {
  ...{ freshUntil: 1000, held: 0, every: 100, took: 0, gap: 0 },
  ...{ changedAt: undefined, failing: undefined, refuted: false, partsFrom: NEVER },
}

describe('a value is stale', () => {
  const cases: readonly (readonly [when: string, given: Partial<Facts>, from: number])[] = [
    ['when two rounds were missed', {}, 1200],
    ['later when its answers take longer than a round', { took: 300 }, 1600],
    ['later when there were not enough calls for each round', { gap: 500 }, 2000],
    ['as much later as its source said that it holds', { held: 5000 }, 6200],
    ['at that time, however it failed until then', { failing: 'upstream_failed' }, 1200],
    ['when it is known to be another for two rounds', { changedAt: 400 }, 600],
    ['when it is known to be another for two rounds, however long answers take', { changedAt: 400, took: 5000 }, 600],
    ['when it is known to be another, and that can not be had', { changedAt: 400, failing: 'behind' }, ALREADY],
    ['when its source says that it can not be confirmed', { refuted: true, held: 9000 }, ALREADY],
    ['when one of the values it is made of is', { partsFrom: 300 }, 300],
    ['by itself, when those are stale later', { partsFrom: 5000 }, 1200],
    ['when one of those was stale already', { partsFrom: ALREADY, held: 9000 }, ALREADY],
    ['when the first of all this is so', { partsFrom: 700, changedAt: 450, held: 9000 }, 650],
    ['for ever when it was never confirmed', { freshUntil: ALREADY }, ALREADY],
  ]
  test.each(cases)('%s', (_, given, from) => {
    expect(staleFrom({ ...PLAIN, ...given })).toBe(from)
  })
})

describe('why a value is stale', () => {
  const cases: readonly (readonly [given: Partial<Facts>, reason: string])[] = [
    [{}, 'no answer has confirmed them in time'],
    [{ changedAt: 400 }, 'they changed, and no answer says to what'],
    [{ failing: 'upstream_timeout' }, 'refreshing them fails (upstream_timeout)'],
    [{ failing: 'behind', changedAt: 400 }, 'the upstream answers older values than before'],
    [{ failing: 'behind', partsFrom: 1999 }, 'a value that they are made of is stale'],
    [{ failing: 'behind', partsFrom: 2001 }, 'the upstream answers older values than before'],
    [{ refuted: true, failing: 'upstream_failed' }, 'the origin can not confirm them'],
  ]
  test.each(cases)('%j', (given, reason) => {
    expect(staleReason({ ...PLAIN, ...given }, 2000)).toBe(reason)
  })
})
