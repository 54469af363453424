import type { Status } from '@weir/client'
import { useCallback, useEffect, useSyncExternalStore } from 'react'
import type { Token } from './default-tokens.ts'
import { usePage } from './page-context.ts'
import type { PriceEntry } from './price-entry.ts'
import type { Watchlist } from './watchlist-store.ts'

/** The price of one token. Only a change of this token renders again. */
export function usePriceEntry(mint: string): PriceEntry {
  const { prices } = usePage()
  const subscribe = useCallback((changed: () => void) => prices.subscribe(mint, changed), [prices, mint])
  return useSyncExternalStore(subscribe, () => prices.entry(mint))
}

/** The metadata of a token, which is loaded if it is unknown. */
export function useToken(mint: string): Token | undefined {
  const { tokens } = usePage()
  useEffect(() => tokens.want(mint), [tokens, mint])
  return useSyncExternalStore(tokens.subscribe, () => tokens.get(mint))
}

export function useWatchlist(): Watchlist {
  const { watchlist } = usePage()
  return useSyncExternalStore(watchlist.subscribe, watchlist.get)
}

export function useStatus(): Status {
  const { client } = usePage()
  return useSyncExternalStore(client.watchStatus, client.status)
}

const LONGEST_SILENCE = 30_000

/** Whether a price has been unconfirmed for longer than a live connection allows, even if the server has not marked it stale. */
export function useOverdue(entry: PriceEntry): boolean {
  const { client, clock } = usePage()
  return useSyncExternalStore(clock.subscribe, () => {
    const limit = Math.max(LONGEST_SILENCE, 3 * (client.status().heartbeat ?? 0))
    return entry.state === 'priced' && clock.now() - entry.checkedAt > limit
  })
}
