import { useRef, useSyncExternalStore } from 'react'
import { usePage } from './page-context.ts'
import { useWatchlist } from './page-hooks.ts'
import { orderRows } from './row-order.ts'

/**
 * Returns the rows in display order. The order changes at most once a second, and never under the pointer, so that a click hits
 * the intended row.
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
