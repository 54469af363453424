import {
  AgeText,
  ChangeText,
  CopyButton,
  formatExactTime,
  formatPrice,
  formatUsd,
  Icon,
  Monogram,
  PriceText,
  Skeleton,
  shortAddress,
} from '@weir/ui'
import { type ReactNode, useEffect, useRef } from 'react'
import { usePage } from './page-context.ts'
import { useOverdue, usePriceEntry, useStatus, useToken, useWatchlist } from './page-hooks.ts'
import { PriceChart } from './price-chart.tsx'
import type { PriceEntry } from './price-entry.ts'

/** The details of one token. Escape closes them. */
export function TokenDetail({ mint }: { readonly mint: string }) {
  const { watchlist, clock, prices } = usePage()
  const { mints } = useWatchlist()
  const token = useToken(mint)
  const entry = usePriceEntry(mint)
  const overdue = useOverdue(entry)
  const lost = useStatus().state === 'offline'
  const panel = useRef<HTMLElement>(null)
  const close = () => {
    watchlist.open(undefined)
    document.querySelector<HTMLElement>(`[data-mint="${mint}"] a`)?.focus()
  }
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      // In the search box, Escape closes the search.
      if (event.key === 'Escape' && !(event.target instanceof HTMLInputElement && event.target.type === 'text')) {
        watchlist.open(undefined)
        document.querySelector<HTMLElement>(`[data-mint="${mint}"] a`)?.focus()
      }
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [watchlist, mint])
  // If the panel covers the list, move the focus into the panel, or it would stay behind it.
  useEffect(() => {
    if (panel.current !== null && getComputedStyle(panel.current).position === 'fixed') panel.current.focus()
  }, [])
  const label = token?.symbol ?? shortAddress(mint)
  return (
    <aside
      className="detail"
      ref={panel}
      tabIndex={-1}
      aria-label={`${label} in detail`}
      data-stale={entry.stale || overdue}
    >
      <div className="detail-head">
        <Monogram label={token?.symbol ?? mint} seed={mint} />
        <div className="token">
          <h2 className="detail-name">{label}</h2>
          <span className="token-name">{token?.name ?? 'Unnamed token'}</span>
        </div>
        <button type="button" className="icon-button" aria-label="Close detail" title="Close (Esc)" onClick={close}>
          <Icon name="close" />
        </button>
      </div>
      <DetailState stale={entry.stale || overdue} />
      <DetailPrice entry={entry} />
      <PriceChart
        points={prices.points(mint)}
        heldUntil={entry.stale || overdue || lost ? entry.checkedAt : undefined}
        clock={clock}
        label={label}
      />
      <dl className="facts">
        <Fact name="Mint">
          <code title={mint}>{shortAddress(mint)}</code>
          <CopyButton text={() => mint} label="Copy mint" />
        </Fact>
        <Fact name="Liquidity">
          {entry.price === undefined || entry.price.liquidity === null ? '–' : formatUsd(entry.price.liquidity)}
        </Fact>
        <Fact name="Decimals">{entry.price?.decimals ?? '–'}</Fact>
        <Fact name="Last change">
          {entry.changedAt > 0 ? (
            <>
              <AgeText clock={clock} since={entry.changedAt} what="Changed" />
              <span className="fact-exact">{formatExactTime(entry.changedAt, clock.now())}</span>
            </>
          ) : (
            '–'
          )}
        </Fact>
        <Fact name="Confirmed">
          {entry.checkedAt > 0 ? <AgeText clock={clock} since={entry.checkedAt} what="Confirmed" /> : '–'}
        </Fact>
        <Fact name="Version">
          <code>{entry.version ?? '–'}</code>
        </Fact>
      </dl>
      <div className="detail-actions">
        <a className="button" href={`/prices/${mint}`}>
          Price as JSON
        </a>
        {!mints.includes(mint) && (
          <button type="button" className="button" onClick={() => watchlist.add(mint)}>
            <Icon name="plus" />
            Watch
          </button>
        )}
      </div>
    </aside>
  )
}

/** Explains a muted price where the panel covers the status line and the pill of the page. */
function DetailState({ stale }: { readonly stale: boolean }) {
  const lost = useStatus().state === 'offline'
  return (
    <p className="detail-state status-line" data-tone={lost ? 'lost' : 'stale'}>
      {lost
        ? 'Connection lost, reconnecting. The last price is shown.'
        : stale && 'Not being confirmed at the source. The last price is shown.'}
    </p>
  )
}

function DetailPrice({ entry }: { readonly entry: PriceEntry }) {
  if (entry.state === 'absent' || entry.price === undefined) {
    const why = entry.state === 'absent' ? entry.reason : entry.problem?.detail
    return (
      <div className="detail-price">
        {why === undefined ? <Skeleton width={9} /> : <span className="detail-none">Not priced</span>}
        <span className="detail-change">
          {why ?? ' '}
          {entry.price !== undefined && ` Last price ${formatPrice(entry.price.usdPrice)}.`}
        </span>
      </div>
    )
  }
  return (
    <div className="detail-price">
      <PriceText price={entry.price.usdPrice} direction={entry.direction} />
      <span className="detail-change">
        <ChangeText percent={entry.price.priceChange24h} /> in 24 h
      </span>
    </div>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div className="fact" data-fact={name}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
