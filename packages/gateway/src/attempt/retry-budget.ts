/** Retries may be this share of the traffic. */
const SHARE = 0.1

/** So many may be saved up, and are there at the start: little traffic must not mean no retries. */
const SAVED = 10

/** Bounds retries by the traffic they come on top of: an upstream that fails for all must not get twice the calls. */
export interface RetryBudget {
  /** A first try was made. */
  tried(): void
  /** Whether one more retry may be made; it is taken. */
  take(): boolean
}

export function createRetryBudget(): RetryBudget {
  let left = SAVED
  return {
    tried() {
      left = Math.min(SAVED, left + SHARE)
    },
    take() {
      if (left < 1) return false
      left -= 1
      return true
    },
  }
}
