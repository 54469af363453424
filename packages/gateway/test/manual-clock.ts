import type { Clock, Timer } from '../src/clock.ts'

interface Planned {
  readonly at: number
  readonly task: () => void
}

/**
 * Time that moves only when a test says so. Timers run in the order of their moments; between them everything that
 * became possible is done: promises, and the tasks of `soon`.
 */
export class ManualClock implements Clock {
  #monotonic = 5000
  #wall = Date.UTC(2026, 0, 1)
  #timers: Planned[] = []
  #tasks: (() => void)[] = []

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(delay: number, task: () => void): Timer {
    const planned = { at: this.#monotonic + Math.max(0, delay), task }
    // Behind those of the same moment: they were asked for earlier.
    const place = this.#timers.findIndex(({ at }) => at > planned.at)
    this.#timers.splice(place === -1 ? this.#timers.length : place, 0, planned)
    return {
      stop: () => {
        this.#timers = this.#timers.filter((other) => other !== planned)
      },
    }
  }

  soon(task: () => void): void {
    this.#tasks.push(task)
  }

  /** Timers that have neither run nor been stopped. */
  get timers(): number {
    return this.#timers.length
  }

  /** Lets so many milliseconds pass, on both clocks. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.#monotonic + milliseconds
    await this.settle()
    for (let next = this.#timers[0]; next !== undefined && next.at <= until; next = this.#timers[0]) {
      this.#timers.shift()
      this.#move(Math.max(next.at, this.#monotonic))
      next.task()
      await this.settle()
    }
    this.#move(until)
  }

  /** So many milliseconds pass in which the process stands still: timers that became due run with the next advance. */
  stall(milliseconds: number): void {
    this.#move(this.#monotonic + milliseconds)
  }

  /** Does all that can be done without time passing. */
  async settle(): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
      const task = this.#tasks.shift()
      if (task === undefined) return
      task()
    }
  }

  /** Sets the wall clock forward or back, as an operator or NTP does. Monotonic time and timers don't notice. */
  jump(milliseconds: number): void {
    this.#wall += milliseconds
  }

  #move(to: number): void {
    this.#wall += to - this.#monotonic
    this.#monotonic = to
  }
}
