import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useStatus, useWatchlist } from './page-hooks.ts'

// Values of an earlier visit are stale until the server confirms them, which takes up to this long, in milliseconds.
const CONFIRMS_WITHIN = 3_000

/**
 * Counts the watched values that are stale or failed to load. `oldest`: the earliest confirmation of a stale value, or Infinity if none
 * was ever received.
 */
export function useStaleness(): { readonly stale: number; readonly oldest: number } {
  const { prices } = usePage()
  const { mints } = useWatchlist()
  const settled = useSettled()
  const overview = useSyncExternalStore(prices.subscribeOverview, prices.overview)
  // The overview changes whenever any entry does.
  return useMemo(() => {
    const entries = overview < 0 || !settled ? [] : mints.map((mint) => prices.entry(mint))
    const received = entries.filter(({ stale, checkedAt }) => stale && checkedAt > 0)
    const failed = entries.filter(({ problem, checkedAt }) => problem !== undefined && checkedAt === 0)
    return { stale: received.length + failed.length, oldest: Math.min(...received.map(({ checkedAt }) => checkedAt)) }
  }, [prices, mints, overview, settled])
}

/** Whether the connection has existed for long enough to confirm all values. */
function useSettled(): boolean {
  const { state } = useStatus()
  const connected = state === 'live' || state === 'stale'
  const [settled, setSettled] = useState(false)
  useEffect(() => {
    setSettled(false)
    if (!connected) return
    const timer = setTimeout(() => setSettled(true), CONFIRMS_WITHIN)
    return () => clearTimeout(timer)
  }, [connected])
  return settled
}
