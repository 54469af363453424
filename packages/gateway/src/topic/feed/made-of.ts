import { AsyncLocalStorage } from 'node:async_hooks'

/** A value that another was made of, as it was read. */
interface Part {
  /** The moment of which it is, and from when on it counts as stale, on the monotonic clock. */
  readonly since: number
  readonly staleFrom: number
  /** Whether it has another value by now. */
  readonly moved: () => boolean
}

/** The values of other feeds that a loader without an upstream has read: what it makes is as old, and as stale, as the oldest of them. */
export class MadeOf {
  readonly #parts: Part[] = []
  #over = false

  count(part: Part): void {
    if (!this.#over) this.#parts.push(part)
  }

  /** The loader is done: what it reads from now on is not in what it made. */
  over(): void {
    this.#over = true
  }

  /** Whether one of them moved since it was read: what was made of them would be of two moments. */
  get torn(): boolean {
    return this.#parts.some(({ moved }) => moved())
  }

  /** How old and how stale it makes what was begun at `startedAt`. */
  age(startedAt: number): { readonly since: number; readonly staleFrom?: number } {
    const since = Math.min(startedAt, ...this.#parts.map(({ since }) => since))
    if (this.#parts.length === 0) return { since }
    return { since, staleFrom: Math.min(...this.#parts.map(({ staleFrom }) => staleFrom)) }
  }
}

const making = new AsyncLocalStorage<MadeOf | undefined>()

/** Runs a loader and counts what it reads; `undefined` for one that has an upstream: what that was asked for is as old as its answer. */
export function counting<Made>(made: MadeOf | undefined, load: () => Promise<Made>): Promise<Made> {
  return making.run(made, load)
}

/** What the loader that runs now counts in. */
export function madeNow(): MadeOf | undefined {
  return making.getStore()
}
