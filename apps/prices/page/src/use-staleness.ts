import { useMemo, useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useWatchlist } from './page-hooks.ts'

/** How many of the watched values the server calls stale, and when the one longest unconfirmed last was. */
export function useStaleness(): { readonly stale: number; readonly oldest: number } {
  const { prices } = usePage()
  const { mints } = useWatchlist()
  const overview = useSyncExternalStore(prices.subscribeOverview, prices.overview)
  // The overview is what the entries are read by: it moves when any of them has.
  return useMemo(() => {
    const stale = overview < 0 ? [] : mints.map((mint) => prices.entry(mint)).filter((entry) => entry.stale)
    return { stale: stale.length, oldest: Math.min(...stale.map((entry) => entry.checkedAt)) }
  }, [prices, mints, overview])
}
