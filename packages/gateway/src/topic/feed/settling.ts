import type { Clock } from '../../clock.ts'

/** Loaders that wait for the new value of a topic that is known to have changed. */
export class Settling {
  readonly #waiting = new Set<() => void>()

  /** Resolves when the value is known, or can't be had; after `most` milliseconds at the latest. */
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

  /** The value is known, or can't be had. */
  over(): void {
    for (const end of this.#waiting) end()
  }
}
