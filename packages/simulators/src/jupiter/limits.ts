import { SlidingWindow } from '../window.ts'
import type { Limit } from './plans.ts'

/** How an organisation stands against a limit just after an arrival. */
export interface Standing {
  readonly granted: boolean
  /** Arrivals in the window, this one and the refused ones included. */
  readonly current: number
  /** The limit less current; below zero when refused calls are in the window. */
  readonly remaining: number
  /** Milliseconds until the next place comes free. */
  readonly freeIn: number
}

/**
 * One bucket. Only granted calls hold a place, so a client that keeps asking is not locked out by its own refusals;
 * refused ones are shown in `current` and `remaining` all the same.
 */
export class Meter {
  readonly #limit: Limit
  readonly #granted: SlidingWindow
  readonly #arrived: SlidingWindow

  constructor(limit: Limit) {
    this.#limit = limit
    this.#granted = new SlidingWindow(limit.span)
    this.#arrived = new SlidingWindow(limit.span)
  }

  /** Counts an arrival, and grants it a place when there is one and it is not `barred`. */
  arrive(at: number, barred: boolean): Standing {
    const granted = !barred && this.#granted.count(at) < this.#limit.calls
    if (granted) this.#granted.add(at)
    const current = this.#arrived.add(at)
    return {
      granted,
      current,
      remaining: this.#limit.calls - current,
      freeIn: this.#granted.untilOldestLeaves(at),
    }
  }
}
