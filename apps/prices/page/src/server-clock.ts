import type { Clock } from '@weir/ui'

/** The server's time, guessed from what its messages say, and one timer for every age on the page. */
export class ServerClock implements Clock {
  #offset = 0
  #timer: ReturnType<typeof setInterval> | undefined
  readonly #beats = new Set<() => void>()

  now = (): number => Date.now() + this.#offset

  subscribe = (beat: () => void): (() => void) => {
    this.#beats.add(beat)
    this.#timer ??= setInterval(() => {
      for (const each of this.#beats) each()
    }, 1_000)
    return () => {
      this.#beats.delete(beat)
      if (this.#beats.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  /** Begins anew with a connection, which may be to a server with another clock. */
  set(serverNow: number): void {
    this.#offset = serverNow - Date.now()
  }

  /** A message was under way for some time, so of several guesses on one connection the largest is the best. */
  refine(serverNow: number): void {
    this.#offset = Math.max(this.#offset, serverNow - Date.now())
  }
}
