import { AsyncLocalStorage } from 'node:async_hooks'

/** A part of a derived value, as it was read. */
interface Part {
  /** The moment its age is counted from, and from when on it is stale, on the monotonic clock. */
  readonly since: number
  readonly staleFrom: number
  /** Whether its value has changed since. */
  readonly moved: () => boolean
}

/** The values that a loader without an upstream has read: its value is as old, and as stale, as the oldest of them. */
export class MadeOf {
  readonly #parts: Part[] = []
  #over = false

  count(part: Part): void {
    if (!this.#over) this.#parts.push(part)
  }

  /** The loader is done: later reads are not part of its value. */
  over(): void {
    this.#over = true
  }

  /** Whether a part changed after it was read: then the value mixes two moments. */
  get torn(): boolean {
    return this.#parts.some(({ moved }) => moved())
  }

  /** The age and staleness of a value whose loader began at `startedAt`. */
  age(startedAt: number): { readonly since: number; readonly staleFrom?: number } {
    const since = Math.min(startedAt, ...this.#parts.map(({ since }) => since))
    if (this.#parts.length === 0) return { since }
    return { since, staleFrom: Math.min(...this.#parts.map(({ staleFrom }) => staleFrom)) }
  }
}

const making = new AsyncLocalStorage<MadeOf | undefined>()

/** Runs a loader and records what it reads; with `undefined`, for one that has an upstream, nothing: its value is as old as the answer. */
export function counting<Made>(made: MadeOf | undefined, load: () => Promise<Made>): Promise<Made> {
  return making.run(made, load)
}

/** The record of the loader that is running. */
export function madeNow(): MadeOf | undefined {
  return making.getStore()
}
