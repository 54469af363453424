import type { Height } from '../call.ts'
import type { Clock } from '../clock.ts'

/** Who was not heard for so long, in milliseconds, is asked beside another, so that it is known how far it is. */
const LOOKED_AFTER = 5000

/**
 * How far providers are that follow one chain, each by its last answer. Heights of different kinds, such as slots that are confirmed and slots
 * that are final, are not compared.
 */
export interface SyncLag<Provider> {
  /** A call begins: what it answers is to be no less than the best that is known now, however long it takes. */
  begin(): (provider: Provider, height: Height) => number
  /** By how much a provider was behind the best, when it answered last; 0 while that is not known. */
  behind(provider: Provider): number
  /** Whether nothing was heard of it for a while. It counts as heard from now on. */
  isDue(provider: Provider): boolean
}

export function createSyncLag<Provider>(clock: Clock): SyncLag<Provider> {
  const known = new Map<Provider, Map<string, number>>()
  const behind = new Map<Provider, number>()
  const heardAt = new Map<Provider, number>()

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
        heardAt.set(provider, clock.monotonic())
        return missing
      }
    },
    behind: (provider) => behind.get(provider) ?? 0,
    isDue(provider) {
      const now = clock.monotonic()
      if (now - (heardAt.get(provider) ?? Number.NEGATIVE_INFINITY) < LOOKED_AFTER) return false
      heardAt.set(provider, now)
      return true
    },
  }
}
