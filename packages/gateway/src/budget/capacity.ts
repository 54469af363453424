import type { MeterLimit, MeterPlan } from '../backend/ports.ts'

/** Windows up to so many milliseconds are short: to take one for full is wrong by no more than that. */
const SHORT = 5000

/** So many calls that what is left of a window by chance does not count. */
const MANY = 1_000_000

/** What an upstream's limits and connections allow in the long run. */
export interface Capacity {
  /** The largest cost that ever fits. */
  largest(lane: string): number
  /** Milliseconds in which that many calls of a lane can start, each of such a cost and answered after so many milliseconds. */
  lasting(calls: number, lane: string, cost: number, answerTime: number): number
  /** Calls a second. */
  rate(cost: number, answerTime: number): number
}

export function createCapacity({ limits, keys }: MeterPlan, concurrency: number): Capacity {
  function limitsOf(lane: string): readonly MeterLimit[] {
    return limits.filter(({ lane: counted = lane }) => counted === '*' || counted === lane)
  }

  function lasting(calls: number, lane: string, cost: number, answerTime: number): number {
    const time = Math.max(1, answerTime)
    let lasts = (calls * time) / concurrency
    for (const { limit, window, by, counts } of limitsOf(lane)) {
      const windows = (calls * (counts === 'calls' ? 1 : cost)) / (limit * (by === 'key' ? keys : 1))
      // While calls wait a short window is full. A long one may be nearly empty: only what can't fit in it has to wait.
      lasts = Math.max(lasts, (window <= SHORT ? windows : Math.floor(windows)) * (window + time))
    }
    return lasts
  }

  return {
    largest: (lane) => Math.min(...limitsOf(lane).flatMap(({ counts, limit }) => (counts === 'calls' ? [] : [limit]))),
    lasting,
    rate: (cost, answerTime) => (MANY * 1000) / lasting(MANY, '', cost, answerTime),
  }
}
