/** Upper bound of the first pause, doubled with each exit in a row, in milliseconds. */
const FIRST = 100

/** Upper bound of every pause, in milliseconds. */
const MOST = 10_000

/** A process that lived this long started well, so its exit begins a new row. In milliseconds. */
const STEADY = 30_000

/** Exponential backoff for restarts. Pauses are random, so that several workers do not restart in step. */
export class Backoff {
  readonly #random: () => number
  #exits = 0

  /** `random`: from 0 to 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** The pause after a process that lived for `lived` milliseconds, in milliseconds. */
  pause(lived: number): number {
    if (lived >= STEADY) this.#exits = 0
    const most = Math.min(MOST, FIRST * 2 ** this.#exits)
    this.#exits += 1
    return this.#random() * most
  }
}
