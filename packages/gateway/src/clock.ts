/** A timer that was started and can be stopped. */
export interface Timer {
  stop(): void
}

/** All the time Weir knows. It is handed in, so that a test can be an hour long in a millisecond. */
export interface Clock {
  /** Wall time, milliseconds since 1970. It may jump; use it only for what is shown or sent to others. */
  now(): number
  /** Milliseconds since some moment; it never jumps back. Every window, deadline and age is counted by it. */
  monotonic(): number
  /** Runs `task` once after `delay` milliseconds. It does not keep the process alive. */
  after(delay: number, task: () => void): Timer
  /** Runs `task` once after the work that is already queued. */
  soon(task: () => void): void
}

/** The longest that a timer takes, in milliseconds: beyond it `setTimeout` fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay, task) {
    let timer: NodeJS.Timeout
    function wait(left: number): void {
      const rest = left - LONGEST_TIMER
      timer = setTimeout(() => (rest > 0 ? wait(rest) : task()), Math.max(0, Math.min(left, LONGEST_TIMER)))
      timer.unref()
    }
    wait(delay)
    return { stop: () => clearTimeout(timer) }
  },
  soon: (task) => {
    setImmediate(task)
  },
}

/**
 * Keeps the process alive for as long as one of the promises that it is given is pending: timers here do not, and Node ends a
 * process that waits for nothing else, with its work undone.
 */
export function keepAlive(): <Result>(promise: Promise<Result>) => Promise<Result> {
  let pending = 0
  let handle: NodeJS.Timeout | undefined
  function settled(): void {
    pending -= 1
    if (pending === 0) clearInterval(handle)
  }
  return (promise) => {
    if (pending === 0) handle = setInterval(() => {}, 2 ** 30)
    pending += 1
    promise.then(settled, settled)
    return promise
  }
}
