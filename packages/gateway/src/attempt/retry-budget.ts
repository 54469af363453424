import { LRUCache } from 'lru-cache'

/** Retries may be this share of the traffic. */
const SHARE = 0.1

/** This many may be saved up, and are there at the start: little traffic must not mean no retries. */
const SAVED = 10

/** The same of each client: one whose calls fail must not take the retries of the others. */
const OWN = 3
const CLIENTS = 1000

/** Bounds retries by the traffic they come on top of: an upstream that fails for all must not get twice the calls. */
export interface RetryBudget {
  /** A first try was made. */
  tried(client: string): void
  /** Whether one more retry may be made for a client; it is taken. */
  take(client: string): boolean
}

export function createRetryBudget(): RetryBudget {
  let left = SAVED
  /** What clients have left; those that are not in it have all. */
  const own = new LRUCache<string, number>({ max: CLIENTS })
  return {
    tried(client) {
      left = Math.min(SAVED, left + SHARE)
      const had = own.get(client)
      if (had !== undefined) own.set(client, Math.min(OWN, had + SHARE))
    },
    take(client) {
      const had = own.get(client) ?? OWN
      if (left < 1 || had < 1) return false
      left -= 1
      own.set(client, had - 1)
      return true
    },
  }
}
