import { useStatus } from '@weir/client/react'
import { AgeText, LostWords, TRANSPORTS } from '@weir/ui'
import type { ReactNode } from 'react'
import { usePage } from './page-context.ts'
import type { RoundNews } from './use-round.ts'

/** One line, always there: how fresh all is, by what way it came, and what is wrong when something is. */
export function StatusLine({ news }: { readonly news: RoundNews }) {
  const { clock, client } = usePage()
  const { state, transport, level } = useStatus()
  const { asOf, stale, problem } = news
  const age = asOf > 0 && <AgeText clock={clock} since={asOf} what="Confirmed" />
  let tone = 'calm'
  let words: ReactNode = 'Connecting.'
  if (state === 'offline') {
    tone = 'lost'
    words = (
      <LostWords clock={clock} client={client} left={asOf > 0 ? 'The last that came is shown' : 'Nothing came yet'} />
    )
  } else if (asOf === 0) {
    if (problem !== undefined) [tone, words] = ['stale', `The round can’t be had now: ${problem}`]
    else if (state === 'live') words = 'Connected. The round is being read from the chain.'
  } else if (state !== 'idle' && state !== 'connecting') {
    tone = stale ? 'stale' : 'calm'
    words = (
      <>
        {stale ? 'Not being confirmed at the source. The last that came is shown, confirmed ' : 'Confirmed '}
        {age}
        {transport !== undefined && `, by ${TRANSPORTS[transport]}`}.
        {(level === 'saver' || level === 'strained') && ' The server is under pressure, so news comes less often.'}
        {level === 'maintenance' && ' The server is under maintenance; news may pause.'}
      </>
    )
  }
  return (
    <p className="status-line" data-tone={tone}>
      {words}
    </p>
  )
}
