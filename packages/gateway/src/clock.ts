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

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay, task) {
    // setTimeout takes at most 2^31 - 1 ms and would fire at once beyond that.
    const timer = setTimeout(task, Math.max(0, Math.min(delay, 2 ** 31 - 1)))
    timer.unref()
    return { stop: () => clearTimeout(timer) }
  },
  soon: (task) => {
    setImmediate(task)
  },
}
