/** A running timer. */
export interface Timer {
  stop(): void
}

/** The source of all time in Weir. It is injected, so a test can run an hour in a millisecond. */
export interface Clock {
  /** Wall time in milliseconds since 1970. It may jump, so use it only for times that are shown or sent. */
  now(): number
  /** Milliseconds since an arbitrary moment. It never goes back. All windows, deadlines and ages use it. */
  monotonic(): number
  /** Runs `task` once after `delay` milliseconds. It does not keep the process alive. */
  after(delay: number, task: () => void): Timer
  /** Runs `task` once, after the work that is already queued. */
  soon(task: () => void): void
}

/** The longest delay of a timer, in milliseconds. Beyond it `setTimeout` fires immediately. */
const LONGEST_TIMER = 2 ** 31 - 1

/** The clock of the machine. */
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
 * Returns a function that keeps the process alive while a promise given to it is pending. Timers of the clock do not,
 * and Node exits a process that waits for nothing else, leaving its work undone.
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
