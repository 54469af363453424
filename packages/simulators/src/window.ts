/**
 * Counts what happened within the last `span` milliseconds, exactly: every time is kept, in a ring that grows by
 * doubling. An event at `t` is in the window while now - span < t, so one that is exactly `span` old has left.
 */
export class SlidingWindow {
  readonly span: number
  #times = new Float64Array(64)
  #first = 0
  #size = 0

  /** `span` in milliseconds. */
  constructor(span: number) {
    this.span = span
  }

  /** Notes an event and gives the number now in the window, this one included. Times must not go backwards. */
  add(at: number): number {
    this.#dropUntil(at - this.span)
    if (this.#size === this.#times.length) this.#grow()
    this.#times[(this.#first + this.#size) & (this.#times.length - 1)] = at
    this.#size += 1
    return this.#size
  }

  /** How many are in the window at this time. */
  count(at: number): number {
    this.#dropUntil(at - this.span)
    return this.#size
  }

  /** Milliseconds until the oldest event leaves the window; the whole span when it is empty. */
  untilOldestLeaves(at: number): number {
    return this.count(at) === 0 ? this.span : this.#at(0) + this.span - at
  }

  #at(index: number): number {
    return this.#times[(this.#first + index) & (this.#times.length - 1)] ?? Number.NaN
  }

  #dropUntil(edge: number): void {
    while (this.#size > 0 && this.#at(0) <= edge) {
      this.#first = (this.#first + 1) & (this.#times.length - 1)
      this.#size -= 1
    }
  }

  /** The length stays a power of two, so that a place in the ring is a mask and not a division. */
  #grow(): void {
    const larger = new Float64Array(this.#times.length * 2)
    for (let index = 0; index < this.#size; index++) larger[index] = this.#at(index)
    this.#times = larger
    this.#first = 0
  }
}
