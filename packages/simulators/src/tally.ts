import { SlidingWindow } from './window.ts'

/** What became of a call: let in and answered, refused by a rule of the upstream, or hit by a fault on demand. */
export type Outcome = 'served' | 'refused' | 'faulted'

export interface Counts {
  /** Arrivals; served + refused + faulted. */
  readonly asked: number
  /** Let in: answered by the upstream's own rules, a 400 or 404 included. */
  readonly served: number
  /** Refused by the upstream's own rules: 401, 403, 429. */
  readonly refused: number
  /** Hit by a fault on demand, whatever it was. */
  readonly faulted: number
}

export interface Arrivals extends Counts {
  /** The largest number of arrivals in any 1 s and any 60 s, whatever became of them. */
  readonly mostIn1s: number
  readonly mostIn60s: number
}

/** Counts arrivals by what became of them. */
export class Tally {
  #counts = { served: 0, refused: 0, faulted: 0 }

  add(outcome: Outcome): void {
    this.#counts[outcome] += 1
  }

  counts(): Counts {
    const { served, refused, faulted } = this.#counts
    return { asked: served + refused + faulted, served, refused, faulted }
  }
}

/** A tally that also knows how dense the arrivals were at their densest. */
export class ArrivalTally extends Tally {
  #second = new SlidingWindow(1_000)
  #minute = new SlidingWindow(60_000)
  #mostIn1s = 0
  #mostIn60s = 0

  /** The most in any window is the most in a window that ends with an arrival, so looking at each arrival is exact. */
  arrive(at: number, outcome: Outcome): void {
    this.add(outcome)
    this.#mostIn1s = Math.max(this.#mostIn1s, this.#second.add(at))
    this.#mostIn60s = Math.max(this.#mostIn60s, this.#minute.add(at))
  }

  arrivals(): Arrivals {
    return { ...this.counts(), mostIn1s: this.#mostIn1s, mostIn60s: this.#mostIn60s }
  }
}
