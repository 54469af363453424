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

/** The longest that a timer takes, in milliseconds: beyond it `setTimeout` fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1

/** Any duration is safe here, also one that a server or a proxy says. */
function after(milliseconds: number, task: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>
  function wait(left: number): void {
    const rest = left - LONGEST_TIMER
    timer = setTimeout(() => (rest > 0 ? wait(rest) : task()), Math.min(left, LONGEST_TIMER))
  }
  wait(milliseconds)
  return () => clearTimeout(timer)
}

/** Those of browsers, workers and Node. */
export function worldPorts(): Ports {
  return {
    fetch: (...asked) => fetch(...asked),
    WebSocket: globalThis.WebSocket,
    now: Date.now,
    after,
    random: Math.random,
  }
}
