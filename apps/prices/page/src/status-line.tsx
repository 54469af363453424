import { LostConnection } from '@weir/ui'
import type { ReactNode } from 'react'
import { usePage } from './page-context.ts'
import { useStatus, useWatchlist } from './page-hooks.ts'
import { useStaleness } from './use-staleness.ts'

/** A permanent line with the current state and the possible action. */
export function StatusLine() {
  const { watchlist, tokens, clock, client } = usePage()
  const { mints, malformed, edit } = useWatchlist()
  const status = useStatus()
  const { stale, oldest } = useStaleness()
  const count = `${mints.length} ${mints.length === 1 ? 'token' : 'tokens'}`
  let tone = 'calm'
  let words: ReactNode = count
  if (status.state === 'offline') {
    tone = 'lost'
    words = <LostConnection clock={clock} client={client} left="The last prices are shown" />
  } else if (edit !== undefined) {
    words = (
      <>
        {tokens.label(edit.mint)} {edit.kind}.{' '}
        <button type="button" className="link-button" onClick={() => watchlist.undo()}>
          Undo
        </button>
      </>
    )
  } else if (malformed > 0) {
    words = `${count}. ${malformed} in the link ${malformed === 1 ? 'is not a mint and was' : 'are not mints and were'} left out.`
  } else if (stale > 0) {
    tone = 'stale'
    const some = stale < mints.length ? `${stale} of ${count}` : 'Prices'
    words =
      oldest === Number.POSITIVE_INFINITY
        ? `${some} can’t be had now. They are shown as soon as they come.`
        : `${stale === mints.length ? 'Prices are' : `${stale} of ${count} are`} not being confirmed at the source. The last ones are shown with their age.`
  } else if (status.level === 'saver' || status.level === 'strained') {
    words = `${count}. The server is under pressure, so prices come less often.`
  } else if (status.level === 'maintenance') {
    words = `${count}. The server is under maintenance; prices may pause.`
  }
  return (
    <p className="status-line" data-tone={tone}>
      {words}
      <span className="hidden" role="status">
        {edit === undefined ? '' : `${tokens.label(edit.mint)} ${edit.kind}`}
      </span>
    </p>
  )
}
