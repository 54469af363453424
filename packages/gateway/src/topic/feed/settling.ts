import type { Clock } from '../../clock.ts'

/** Loaders that wait for what a value is that was said to be another. */
export class Settling {
  readonly #waiting = new Set<() => void>()

  /** When it is known what it is, or that this can't be known; after `most` milliseconds at the latest. */
  wait(clock: Clock, most: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        timer.stop()
        this.#waiting.delete(end)
        resolve()
      }
      const timer = clock.after(most, end)
      this.#waiting.add(end)
    })
  }

  /** It is known. */
  over(): void {
    for (const end of this.#waiting) end()
  }
}
