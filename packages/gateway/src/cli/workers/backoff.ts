/** The first pause is at most so long and each next twice that, up to the last; in milliseconds. */
const FIRST = 100
const MOST = 10_000

/** Who lived so long before it died has begun well: its death is none of a row. */
const STEADY = 30_000

/** How long to wait before what died is started again: at random up to twice as long each time, so that many do not come in step. */
export class Backoff {
  readonly #random: () => number
  #deaths = 0

  /** `random`: from 0 to 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** Milliseconds, after one that lived for so many. */
  pause(lived: number): number {
    if (lived >= STEADY) this.#deaths = 0
    const most = Math.min(MOST, FIRST * 2 ** this.#deaths)
    this.#deaths += 1
    return this.#random() * most
  }
}
