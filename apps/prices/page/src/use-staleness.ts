import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useStatus, useWatchlist } from './page-hooks.ts'

// What is kept of the visit before counts as stale until the server has confirmed it, which takes this long at most, in milliseconds.
const CONFIRMS_WITHIN = 3_000

/**
 * How many of the watched values the server calls stale or can't get, and when the one longest unconfirmed last was: Infinity if none of them
 * ever came.
 */
export function useStaleness(): { readonly stale: number; readonly oldest: number } {
  const { prices } = usePage()
  const { mints } = useWatchlist()
  const settled = useSettled()
  const overview = useSyncExternalStore(prices.subscribeOverview, prices.overview)
  // The overview is what the entries are read by: it moves when any of them has.
  return useMemo(() => {
    const entries = overview < 0 || !settled ? [] : mints.map((mint) => prices.entry(mint))
    const came = entries.filter(({ stale, checkedAt }) => stale && checkedAt > 0)
    const failed = entries.filter(({ problem, checkedAt }) => problem !== undefined && checkedAt === 0)
    return { stale: came.length + failed.length, oldest: Math.min(...came.map(({ checkedAt }) => checkedAt)) }
  }, [prices, mints, overview, settled])
}

/** Whether the connection has been there for long enough to have confirmed what it can. */
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
