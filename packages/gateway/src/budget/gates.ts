import type { Clock } from '../clock.ts'

/** Until when an upstream is known to let nothing start: all of it, lanes of it, keys of it. Moments are on the monotonic clock. */
export class Gates {
  readonly #clock: Clock
  readonly #lanes = new Map<string, number>()
  readonly #keys: number[]
  /** Before this moment nothing starts, as the meter said. */
  opensAt = 0

  constructor(clock: Clock, keys: number) {
    this.#clock = clock
    this.#keys = Array.from({ length: keys }, () => Number.NEGATIVE_INFINITY)
  }

  /** Milliseconds for which the lane is closed. */
  ofLane(lane: string): number {
    return Math.max(0, (this.#lanes.get(lane) ?? 0) - this.#clock.monotonic())
  }

  /** Milliseconds for which everything is closed. */
  get ofAll(): number {
    return Math.max(0, this.opensAt - this.#clock.monotonic())
  }

  /** Whether a key is open. Other nodes may know more. */
  get hasOpenKey(): boolean {
    return this.#keys.some((until) => until <= this.#clock.monotonic())
  }

  /** Closes a lane, and gives the moment at which it opens. */
  closeLane(lane: string, duration: number): number {
    const opens = Math.max(this.#lanes.get(lane) ?? 0, this.#clock.monotonic() + duration)
    this.#lanes.set(lane, opens)
    return opens
  }

  /** Closes a key, or all keys, unless it is closed for longer. */
  closeKey(key: number | undefined, duration: number): void {
    const until = this.#clock.monotonic() + duration
    this.#keys.forEach((known, index) => {
      if (key === undefined || key === index) this.#keys[index] = Math.max(known, until)
    })
  }
}
