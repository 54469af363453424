import type { Client } from '@weir/client'
import type { Clock } from '@weir/ui'
import { createContext, useContext } from 'react'
import type { Config } from './config.ts'
import type { HistoryStore } from './history-store.ts'

/** What one page has for as long as it is open. */
export interface Page {
  readonly client: Client
  readonly clock: Clock
  readonly config: Config
  readonly history: HistoryStore
}

export const PageContext = createContext<Page | undefined>(undefined)

/** That of the page around this component. */
export function usePage(): Page {
  const page = useContext(PageContext)
  if (page === undefined) throw new Error('A component of the lottery stands outside <LotteryPage>.')
  return page
}
