import type { Client } from '@weir/client'
import type { Clock } from '@weir/ui'
import { createContext, useContext } from 'react'
import type { Config } from './config.ts'
import type { HistoryStore } from './history-store.ts'

/** The stores of the page, created once. */
export interface Page {
  readonly client: Client
  readonly clock: Clock
  readonly config: Config
  readonly history: HistoryStore
}

export const PageContext = createContext<Page | undefined>(undefined)

/** Returns the stores of the page. */
export function usePage(): Page {
  const page = useContext(PageContext)
  if (page === undefined) throw new Error('usePage(): expected a component inside <LotteryPage>, got one outside')
  return page
}
