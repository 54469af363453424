import type { Height } from '../call.ts'
import type { Clock } from '../clock.ts'

/**
 * A provider that was not called for this long, in milliseconds, gets a copy of a call, so that its position is known.
 */
const PROBE_AFTER = 5000

/**
 * Tracks the positions of providers that follow the same chain. Heights of different kinds, such as confirmed and
 * finalized slots, are not compared.
 */
export interface SyncLag<Provider> {
  /**
   * Begins a call. Its answer should reach at least the best position known now, however long it takes. The returned
   * function gives the lag.
   */
  begin(): (provider: Provider, height: Height) => number
  /** The lag of a provider at its last answer; 0 while unknown. */
  behind(provider: Provider): number
  /** Whether a provider was not called recently. It counts as called from now on. */
  isDue(provider: Provider): boolean
}

export function createSyncLag<Provider>(clock: Clock): SyncLag<Provider> {
  const known = new Map<Provider, Map<string, number>>()
  const behind = new Map<Provider, number>()
  const calledAt = new Map<Provider, number>()

  function best(): ReadonlyMap<string, number> {
    const best = new Map<string, number>()
    for (const heights of known.values()) for (const [of, at] of heights) best.set(of, Math.max(at, best.get(of) ?? at))
    return best
  }

  return {
    begin() {
      const before = best()
      return (provider, { of, at }) => {
        const missing = Math.max(0, (before.get(of) ?? at) - at)
        known.set(provider, (known.get(provider) ?? new Map()).set(of, at))
        behind.set(provider, missing)
        calledAt.set(provider, clock.monotonic())
        return missing
      }
    },
    behind: (provider) => behind.get(provider) ?? 0,
    isDue(provider) {
      const now = clock.monotonic()
      if (now - (calledAt.get(provider) ?? Number.NEGATIVE_INFINITY) < PROBE_AFTER) return false
      calledAt.set(provider, now)
      return true
    },
  }
}
