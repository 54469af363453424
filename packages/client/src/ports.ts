/** The client's access to the outside world, injected so that tests need no real waiting. */
export interface Ports {
  readonly fetch: typeof fetch
  /** Undefined if not available: that transport then counts as blocked. */
  readonly WebSocket: typeof WebSocket | undefined
  /** Milliseconds since 1970, by this machine's clock. */
  now(): number
  /** Runs `task` once after the delay, unless the returned function is called before. */
  after(milliseconds: number, task: () => void): () => void
  /** From 0 up to 1. */
  random(): number
}

/** The longest delay of a timer, in milliseconds. Beyond it `setTimeout` fires immediately. */
const LONGEST_TIMER = 2 ** 31 - 1

/** A timer for any duration, also one that a server or proxy names. */
function after(milliseconds: number, task: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>
  function wait(left: number): void {
    const rest = left - LONGEST_TIMER
    timer = setTimeout(() => (rest > 0 ? wait(rest) : task()), Math.min(left, LONGEST_TIMER))
  }
  wait(milliseconds)
  return () => clearTimeout(timer)
}

/** The ports of browsers, workers and Node. */
export function defaultPorts(): Ports {
  return {
    fetch: (...asked) => fetch(...asked),
    WebSocket: globalThis.WebSocket,
    now: Date.now,
    after,
    random: Math.random,
  }
}
