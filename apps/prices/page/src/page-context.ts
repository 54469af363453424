import type { Client } from '@weir/client'
import type { Clock } from '@weir/ui'
import { createContext, useContext } from 'react'
import type { PriceStore } from './price-store.ts'
import type { TokenBook } from './token-book.ts'
import type { WatchlistStore } from './watchlist-store.ts'

/** The stores of one page. They live as long as it does; components subscribe to the parts they show. */
export interface Page {
  readonly client: Client
  readonly clock: Clock
  readonly prices: PriceStore
  readonly watchlist: WatchlistStore
  readonly tokens: TokenBook
}

export const PageContext = createContext<Page | undefined>(undefined)

/** The stores of the page around this component. */
export function usePage(): Page {
  const page = useContext(PageContext)
  if (page === undefined) throw new Error('A component that reads prices stands outside <PricesPage>.')
  return page
}
