import { ConnectionPill, CopyButton, Mark, Note, ThemeSwitch } from '@weir/ui'
import { type Page, PageContext, usePage } from './page-context.ts'
import { useStatus, useWatchlist } from './page-hooks.ts'
import { PageTitle } from './page-title.tsx'
import { StatusLine } from './status-line.tsx'
import { TokenDetail } from './token-detail.tsx'
import { TokenSearch } from './token-search.tsx'
import { useRowOrder } from './use-row-order.ts'
import { useStaleness } from './use-staleness.ts'
import { WatchlistTable } from './watchlist-table.tsx'

/** Live prices of the watched tokens. */
export function PricesPage({ page }: { readonly page: Page }) {
  return (
    <PageContext value={page}>
      <Frame page={page} />
    </PageContext>
  )
}

function Frame({ page }: { readonly page: Page }) {
  const { token, mints } = useWatchlist()
  const { state } = useStatus()
  const rows = useRowOrder()
  return (
    <div className="page" data-connection={state} data-detail={token !== undefined}>
      <PageTitle mint={rows[0]} />
      <header className="top">
        <h1 className="top-name">
          <Mark />
          Prices
        </h1>
        <TokenSearch />
        <div className="top-end">
          <PricesPill />
          <ThemeSwitch />
        </div>
      </header>
      <main className="list">
        <div className="list-head">
          <StatusLine />
          {mints.length > 0 && (
            <CopyButton text={() => page.watchlist.link()} label="Copy a link to this list" icon="link">
              Copy link
            </CopyButton>
          )}
        </div>
        {mints.length > 0 ? (
          <WatchlistTable rows={rows} />
        ) : (
          <EmptyList restore={() => page.watchlist.restoreDefault()} />
        )}
      </main>
      {token !== undefined && <TokenDetail key={token} mint={token} />}
    </div>
  )
}

function PricesPill() {
  const { clock } = usePage()
  const { mints } = useWatchlist()
  return <ConnectionPill clock={clock} status={useStatus()} {...useStaleness()} total={mints.length} what="Tokens" />
}

function EmptyList({ restore }: { readonly restore: () => void }) {
  return (
    <div className="empty">
      <Note
        title="Your list is empty"
        actions={
          <button type="button" className="button" onClick={restore}>
            Start with common tokens
          </button>
        }
      >
        Search for a token by symbol, name or mint to add it.
      </Note>
    </div>
  )
}
