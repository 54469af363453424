/** What the client needs of the world, handed in so that its waiting can be tested without waiting. */
export interface Ports {
  readonly fetch: typeof fetch
  /** Undefined where there are none: that transport then counts as blocked. */
  readonly WebSocket: typeof WebSocket | undefined
  /** Milliseconds since 1970, by this machine's clock. */
  now(): number
  /** Runs `task` once after so many milliseconds, unless the returned function is called before. */
  after(milliseconds: number, task: () => void): () => void
  /** From 0 up to 1. */
  random(): number
}

/** Those of browsers, workers and Node. */
export function worldPorts(): Ports {
  return {
    fetch: (...asked) => fetch(...asked),
    WebSocket: globalThis.WebSocket,
    now: Date.now,
    after(milliseconds, task) {
      const timer = setTimeout(task, milliseconds)
      return () => clearTimeout(timer)
    },
    random: Math.random,
  }
}
