import { useStatus } from '@weir/client/react'
import { AgeText, Skeleton } from '@weir/ui'
import { useSyncExternalStore } from 'react'
import { countOf } from './amount.ts'
import { type HistoryLine, MOST_LINES } from './history-lines.ts'
import { usePage } from './page-context.ts'
import type { Round } from './round.ts'
import { WalletName } from './wallet-name.tsx'

/** The newest entries, live. Space is reserved from the start so that the layout does not shift, unless no entries can arrive. */
export function HistoryList({ round, own }: { readonly round: Round | undefined; readonly own: string }) {
  const { history } = usePage()
  const received = useSyncExternalStore(history.subscribe, history.lines)
  const { state } = useStatus()
  // While the round is read from the chain, an empty history is not final.
  const lines = round === undefined && received?.length === 0 ? undefined : received
  const cut = lines === undefined && state === 'offline'
  return (
    <section className="history" aria-labelledby="history">
      <h2 id="history">Newest entries</h2>
      {lines?.length === 0 && <p className="nothing">No entries yet. New entries appear here live.</p>}
      {cut && (
        <p className="nothing">The entries are not kept for offline. They show here once the connection is back.</p>
      )}
      <ol className="lines history-lines" style={{ minHeight: cut ? 0 : `${MOST_LINES * 40}px` }}>
        {lines === undefined &&
          !cut &&
          [22, 18, 24, 20].map((width) => (
            <li className="line" key={width}>
              <Skeleton width={width} />
            </li>
          ))}
        {lines?.map((line) => (
          <li className="line" key={line.key} data-kind={line.kind}>
            <LineWords line={line} own={own} />
          </li>
        ))}
      </ol>
    </section>
  )
}

function LineWords({ line, own }: { readonly line: HistoryLine; readonly own: string }) {
  const { clock } = usePage()
  if (line.kind === 'gap')
    return (
      <span>
        {line.missed === undefined
          ? 'The history restarted here.'
          : `Missing here: ${countOf(line.missed, 'transaction')}.`}
      </span>
    )
  return (
    <>
      <WalletName wallet={line.wallet} own={own} />
      <span>
        {line.kind === 'draw' ? `won ${countOf(line.amount, 'token')}: a new round` : countOf(line.tickets, 'ticket')}
      </span>
      <AgeText clock={clock} since={line.at} what={line.kind === 'draw' ? 'Drawn' : 'Entered'} />
    </>
  )
}
