import type { Grant } from '../backend/ports.ts'
import type { Clock } from '../clock.ts'

/** Grants whose moment has not come. */
export class Schedule {
  readonly #clock: Clock
  readonly #deliver: (grant: Grant) => void
  readonly #byLane = new Map<string, number>()
  #size = 0

  /** @param deliver is given each grant at its moment */
  constructor(clock: Clock, deliver: (grant: Grant) => void) {
    this.#clock = clock
    this.#deliver = deliver
  }

  get size(): number {
    return this.#size
  }

  of(lane: string): number {
    return this.#byLane.get(lane) ?? 0
  }

  add(grant: Grant): void {
    if (grant.notBefore <= this.#clock.monotonic()) {
      this.#deliver(grant)
      return
    }
    this.#count(grant.lane, 1)
    this.#wait(grant)
  }

  #wait(grant: Grant): void {
    this.#clock.after(grant.notBefore - this.#clock.monotonic(), () => {
      // Timers fire up to a millisecond early.
      if (grant.notBefore > this.#clock.monotonic()) {
        this.#wait(grant)
        return
      }
      this.#count(grant.lane, -1)
      this.#deliver(grant)
    })
  }

  #count(lane: string, by: 1 | -1): void {
    this.#size += by
    const left = this.of(lane) + by
    if (left === 0) this.#byLane.delete(lane)
    else this.#byLane.set(lane, left)
  }
}
