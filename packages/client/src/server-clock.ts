/** The server's time, guessed from what its messages say. */
export interface ServerClock {
  /** Milliseconds since 1970. */
  now(): number
  /** Whether the server's time was heard: until then it is this machine's. */
  readonly known: boolean
  /** Takes in the server's time as a message said it. */
  hear(serverNow: number): void
}

/** A guess may be so much worse than an earlier one, in milliseconds, and still be only a message that was long under way. */
const SLOWEST = 1000

/**
 * Of several guesses the largest is the best, since messages are under way for some time. One that is far off says that this machine's clock
 * was set, or that another server with another clock speaks.
 */
export function createServerClock(local: () => number): ServerClock {
  let offset: number | undefined
  return {
    now: () => local() + (offset ?? 0),
    get known() {
      return offset !== undefined
    },
    hear(serverNow) {
      const guess = serverNow - local()
      if (offset === undefined || guess > offset || guess < offset - SLOWEST) offset = guess
    },
  }
}
