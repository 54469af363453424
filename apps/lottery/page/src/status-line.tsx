import { useStatus } from '@weir/client/react'
import { AgeText, LostConnection, TRANSPORTS } from '@weir/ui'
import type { ReactNode } from 'react'
import { usePage } from './page-context.ts'
import type { RoundNews } from './use-round.ts'

/** A permanent line with freshness, transport and faults. */
export function StatusLine({ news }: { readonly news: RoundNews }) {
  const { clock, client } = usePage()
  const { state, transport, level } = useStatus()
  const { asOf, stale, problem } = news
  const age = asOf > 0 && <AgeText clock={clock} since={asOf} what="Confirmed" />
  let tone = 'calm'
  let words: ReactNode = 'Connecting.'
  if (state === 'offline') {
    tone = 'lost'
    words = <LostConnection clock={clock} client={client} left={asOf > 0 ? 'The last state is shown' : 'No data yet'} />
  } else if (asOf === 0) {
    if (problem !== undefined) [tone, words] = ['stale', `The round is unavailable: ${problem}`]
    else if (state === 'live') words = 'Connected. The round is being read from the chain.'
  } else if (state !== 'idle' && state !== 'connecting') {
    tone = stale ? 'stale' : 'calm'
    words = (
      <>
        {stale ? 'Not being confirmed at the source. The last state is shown, confirmed ' : 'Confirmed '}
        {age}
        {transport !== undefined && `, by ${TRANSPORTS[transport]}`}.
        {(level === 'saver' || level === 'strained') && ' The server is under pressure, so updates are less frequent.'}
        {level === 'maintenance' && ' The server is under maintenance; updates may pause.'}
      </>
    )
  }
  return (
    <p className="status-line" data-tone={tone}>
      {words}
    </p>
  )
}
