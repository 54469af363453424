import type { MeterLimit, MeterPlan } from '../backend/ports.ts'

/** A full window this long or shorter delays a call by no more than this, in milliseconds. */
const SHORT = 5000

/** So many calls that a window's rest by chance does not count. */
const MANY = 1_000_000

/** How much the last answer's time counts in the running mean. */
const RECENT = 0.1

/** What an upstream's limits and connections allow in the long run, at the answer times of late. */
export interface Estimate {
  /** How long answers take, in milliseconds; 0 before the first. */
  readonly answerTime: number
  /** An answer took this many milliseconds. */
  answered(took: number): void
  /** The largest cost that ever fits. */
  largest(lane: string): number
  /** Milliseconds in which this many calls of a lane can start, each of this cost. */
  lasting(calls: number, lane: string, cost: number): number
  /** Calls a second, each of this cost. */
  rate(cost: number): number
}

export function createEstimate({ limits, keys }: MeterPlan, concurrency: number): Estimate {
  let answerTime = 0

  function limitsOf(lane: string): readonly MeterLimit[] {
    return limits.filter(({ lane: counted = lane }) => counted === '*' || counted === lane)
  }

  function lasting(calls: number, lane: string, cost: number): number {
    const time = Math.max(1, answerTime)
    let lasts = (calls * time) / concurrency
    for (const { limit, window, by, counts } of limitsOf(lane)) {
      const windows = (calls * (counts === 'calls' ? 1 : cost)) / (limit * (by === 'key' ? keys : 1))
      // While calls wait, a short window is full. A long one may be nearly empty: only calls that do not fit in it wait.
      lasts = Math.max(lasts, (window <= SHORT ? windows : Math.floor(windows)) * (window + time))
    }
    return lasts
  }

  return {
    get answerTime() {
      return answerTime
    },
    answered(took) {
      answerTime += (took - answerTime) * (answerTime === 0 ? 1 : RECENT)
    },
    largest: (lane) => Math.min(...limitsOf(lane).flatMap(({ counts, limit }) => (counts === 'calls' ? [] : [limit]))),
    lasting,
    rate: (cost) => (MANY * 1000) / lasting(MANY, '', cost),
  }
}
