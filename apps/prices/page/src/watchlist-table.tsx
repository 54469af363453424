import { Icon } from '@weir/ui'
import { type KeyboardEvent, useCallback, useRef } from 'react'
import { usePage } from './page-context.ts'
import { useWatchlist } from './page-hooks.ts'
import type { SortKey } from './page-state.ts'
import { useVisibleRows } from './use-visible-rows.ts'
import { WatchlistRow } from './watchlist-row.tsx'

// The row height in page.css.
const ROW_HEIGHT = 56

/** The live table of watched tokens. A very long list renders only the rows in or near the viewport. */
export function WatchlistTable({ rows }: { readonly rows: readonly string[] }) {
  const { watchlist } = usePage()
  const { token, sort } = useWatchlist()
  const body = useRef<HTMLTableSectionElement>(null)
  const [start, end] = useVisibleRows(body, rows.length, ROW_HEIGHT)
  const base = watchlist.address({ token: undefined, sort })
  const remove = useCallback(
    (mint: string) => {
      const row = body.current?.querySelector(`[data-mint="${mint}"]`)
      const hadFocus = row?.contains(document.activeElement) ?? false
      const neighbour = row?.nextElementSibling ?? row?.previousElementSibling
      watchlist.remove(mint)
      // Focus the next row, so that Delete can be pressed again.
      if (hadFocus) neighbour?.querySelector('a')?.focus()
    },
    [watchlist],
  )
  return (
    <table className="table" aria-label="Watched tokens" aria-rowcount={rows.length + 1}>
      <thead>
        <tr aria-rowindex={1}>
          <SortHeader by="symbol" column="token">
            Token
          </SortHeader>
          <SortHeader by="price" column="price">
            Price, USD
          </SortHeader>
          <SortHeader by="change" column="day">
            24 h
          </SortHeader>
          <th scope="col" data-column="line">
            Since opening
          </th>
          <th scope="col" data-column="liquidity">
            Liquidity
          </th>
          <th scope="col" data-column="age">
            Confirmed
          </th>
          <th scope="col" data-column="remove">
            <span className="hidden">Remove</span>
          </th>
        </tr>
      </thead>
      <tbody
        ref={body}
        style={{ paddingTop: start * ROW_HEIGHT, paddingBottom: (rows.length - end) * ROW_HEIGHT }}
        onKeyDown={moveBetweenRows}
      >
        {rows.slice(start, end).map((mint, index) => (
          <WatchlistRow
            key={mint}
            mint={mint}
            position={start + index + 2}
            base={base}
            selected={mint === token}
            onRemove={remove}
          />
        ))}
      </tbody>
    </table>
  )
}

interface SortHeaderProps {
  readonly by: SortKey
  readonly column: string
  readonly children: string
}

function SortHeader({ by, column, children }: SortHeaderProps) {
  const { watchlist } = usePage()
  const { sort } = useWatchlist()
  const descending = sort?.by === by ? sort.descending : undefined
  const order = descending === undefined ? 'none' : descending ? 'descending' : 'ascending'
  return (
    <th scope="col" data-column={column} aria-sort={order}>
      <button type="button" className="sort" onClick={() => watchlist.sortBy(by)}>
        {children}
        <span className="sort-mark">{descending !== undefined && <Icon name={descending ? 'down' : 'up'} />}</span>
      </button>
    </th>
  )
}

function moveBetweenRows(event: KeyboardEvent): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
  const row = event.target instanceof Element ? event.target.closest('tr') : null
  const next = event.key === 'ArrowDown' ? row?.nextElementSibling : row?.previousElementSibling
  const link = next?.querySelector('a')
  if (link === null || link === undefined) return
  event.preventDefault()
  link.focus()
}
