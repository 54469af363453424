/** The server's time, estimated from its messages. */
export interface ServerClock {
  /** Milliseconds since 1970. */
  now(): number
  /** Whether a message gave the server's time. Until then this machine's clock is used. */
  readonly known: boolean
  /** Updates the estimate with the time in a message. */
  update(serverNow: number): void
}

/** An estimate may be this much lower than an earlier one, in milliseconds, and still be due to a slow message. */
const MAX_DELAY = 1000

/**
 * The largest estimate is the best, since messages take time. One that is far off means that a clock was set, or that
 * another server answers.
 */
export function createServerClock(local: () => number): ServerClock {
  let offset: number | undefined
  return {
    now: () => local() + (offset ?? 0),
    get known() {
      return offset !== undefined
    },
    update(serverNow) {
      const estimate = serverNow - local()
      if (offset === undefined || estimate > offset || estimate < offset - MAX_DELAY) offset = estimate
    },
  }
}
