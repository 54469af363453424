import { AgeText, ChangeText, formatUsd, Icon, Monogram, PriceText, Skeleton, Sparkline, shortAddress } from '@weir/ui'
import { type KeyboardEvent, type MouseEvent, memo } from 'react'
import { usePage } from './page-context.ts'
import { useOverdue, usePriceEntry, useStatus, useToken } from './page-hooks.ts'
import { tokenAddress } from './page-state.ts'
import type { PriceEntry } from './price-entry.ts'

interface WatchlistRowProps {
  readonly mint: string
  /** Row number in the whole table, from 1, including the header. */
  readonly position: number
  /** The URL of the page without a token. */
  readonly base: string
  readonly selected: boolean
  onRemove(mint: string): void
}

/** A row for one token. A new price renders only this row. */
export const WatchlistRow = memo(function WatchlistRow({
  mint,
  position,
  base,
  selected,
  onRemove,
}: WatchlistRowProps) {
  const { watchlist, prices, clock } = usePage()
  const entry = usePriceEntry(mint)
  const token = useToken(mint)
  const { heartbeat } = useStatus()
  const overdue = useOverdue(entry)
  const label = token?.symbol ?? shortAddress(mint)
  const open = (event: MouseEvent) => {
    // With a modifier key or another button, the browser follows the link.
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return
    event.preventDefault()
    watchlist.open(mint)
  }
  const press = (event: KeyboardEvent) => {
    if (event.key !== 'Delete') return
    event.preventDefault()
    onRemove(mint)
  }
  const stale = entry.stale || overdue
  return (
    <tr
      data-mint={mint}
      data-state={entry.problem !== undefined && entry.price === undefined ? 'error' : entry.state}
      data-stale={stale}
      data-selected={selected}
      aria-rowindex={position}
      tabIndex={-1}
      onKeyDown={press}
    >
      <td data-column="token">
        <Monogram label={token?.symbol ?? mint} seed={mint} />
        <div className="token">
          <a
            className="token-symbol"
            href={tokenAddress(base, mint)}
            aria-current={selected ? 'true' : undefined}
            onClick={open}
          >
            {label}
          </a>
          <span className="token-name">{token?.name ?? 'Unnamed token'}</span>
        </div>
      </td>
      <td data-column="price">
        <RowPrice entry={entry} />
      </td>
      <td data-column="day">
        {entry.price === undefined ? (
          entry.state === 'waiting' && entry.problem === undefined && <Skeleton width={6} />
        ) : (
          <ChangeText percent={entry.price.priceChange24h} />
        )}
      </td>
      <td data-column="line">
        <Sparkline points={prices.points(mint)} label={`${label} since this page was opened`} />
      </td>
      <td data-column="liquidity">
        {entry.price !== undefined && (entry.price.liquidity === null ? '–' : formatUsd(entry.price.liquidity))}
      </td>
      <td data-column="age">
        {entry.checkedAt > 0 && (
          <AgeText clock={clock} since={entry.checkedAt} what="Confirmed" every={stale ? undefined : heartbeat} />
        )}
        {stale && <span className="hidden">, stale</span>}
      </td>
      <td data-column="remove">
        <button
          type="button"
          className="icon-button"
          aria-label={`Remove ${label}`}
          title={`Remove ${label}`}
          onClick={() => onRemove(mint)}
        >
          <Icon name="close" />
        </button>
      </td>
    </tr>
  )
})

function RowPrice({ entry }: { readonly entry: PriceEntry }) {
  if (entry.state === 'absent') {
    return (
      <span className="no-price" title={entry.reason}>
        not priced
      </span>
    )
  }
  if (entry.price !== undefined) return <PriceText price={entry.price.usdPrice} direction={entry.direction} />
  if (entry.problem !== undefined) {
    return (
      <span className="no-price" title={`${entry.problem.title}: ${entry.problem.detail}`}>
        no answer yet
      </span>
    )
  }
  return <Skeleton width={9} />
}
