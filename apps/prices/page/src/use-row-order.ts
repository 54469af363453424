import { useRef, useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useWatchlist } from './page-hooks.ts'
import { orderRows } from './row-order.ts'

/**
 * The rows as shown. They move at most once a second, and not while the pointer is on them: nobody should press on
 * one row and hit another.
 */
export function useRowOrder(): readonly string[] {
  const { prices, tokens } = usePage()
  const { mints, sort } = useWatchlist()
  useSyncExternalStore(prices.subscribeOverview, () => (sort === undefined ? 0 : prices.overview()))
  const last = useRef({ mints, sort, rows: mints })
  const same = last.current.mints === mints && last.current.sort === sort
  if (same && document.querySelector('tbody:hover') !== null && matchMedia('(hover: hover)').matches)
    return last.current.rows
  const rows = orderRows(mints, sort, {
    symbol: (mint) => tokens.label(mint),
    price: (mint) => prices.entry(mint).price?.usdPrice,
    change: (mint) => prices.entry(mint).price?.priceChange24h ?? undefined,
  })
  last.current = { mints, sort, rows }
  return rows
}
