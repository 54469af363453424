import type { Client } from '@weir/client'
import type { Clock } from '@weir/ui'
import { createContext, useContext } from 'react'
import type { PriceStore } from './price-store.ts'
import type { TokenBook } from './token-book.ts'
import type { WatchlistStore } from './watchlist-store.ts'

/** The stores of the page, created once. Components subscribe to the parts that they show. */
export interface Page {
  readonly client: Client
  readonly clock: Clock
  readonly prices: PriceStore
  readonly watchlist: WatchlistStore
  readonly tokens: TokenBook
}

export const PageContext = createContext<Page | undefined>(undefined)

/** Returns the stores of the page. */
export function usePage(): Page {
  const page = useContext(PageContext)
  if (page === undefined) throw new Error('usePage(): expected a component inside <PricesPage>, got one outside')
  return page
}
