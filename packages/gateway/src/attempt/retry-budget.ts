import { LRUCache } from 'lru-cache'

/** Retries may be this share of the traffic. */
const SHARE = 0.1

/** Maximum saved retries, available from the start, so that sparse traffic can retry too. */
const MAX_SAVED = 10

/** Maximum saved retries per client: a client whose calls fail must not use up the retries of others. */
const MAX_SAVED_PER_CLIENT = 3
const MAX_CLIENTS = 1000

/** Limits retries to a share of the traffic, so that a failing upstream does not get twice the calls. */
export interface RetryBudget {
  /** Records a first try. */
  tried(client: string): void
  /** Takes a retry for a client, if one is left. */
  take(client: string): boolean
}

export function createRetryBudget(): RetryBudget {
  let left = MAX_SAVED
  /** Retries left per client. Missing clients have the maximum. */
  const leftOf = new LRUCache<string, number>({ max: MAX_CLIENTS })
  return {
    tried(client) {
      left = Math.min(MAX_SAVED, left + SHARE)
      const had = leftOf.get(client)
      if (had !== undefined) leftOf.set(client, Math.min(MAX_SAVED_PER_CLIENT, had + SHARE))
    },
    take(client) {
      const had = leftOf.get(client) ?? MAX_SAVED_PER_CLIENT
      if (left < 1 || had < 1) return false
      left -= 1
      leftOf.set(client, had - 1)
      return true
    },
  }
}
