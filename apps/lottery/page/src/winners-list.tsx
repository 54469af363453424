import { AgeText, Skeleton } from '@weir/ui'
import { countOf } from './amount.ts'
import { usePage } from './page-context.ts'
import type { Round, Winner } from './round.ts'
import { WalletName } from './wallet-name.tsx'

interface WinnersListProps {
  readonly round: Round | undefined
  readonly winner: Winner | undefined
  readonly own: string
}

/** Recent draws, newest first. */
export function WinnersList({ round, winner, own }: WinnersListProps) {
  const { clock } = usePage()
  return (
    <section className="winners" aria-labelledby="winners">
      <h2 id="winners">Last winners</h2>
      {round === undefined && (
        <p className="line">
          <Skeleton width={24} />
        </p>
      )}
      {round?.winners.length === 0 && <p className="nothing">No winners yet.</p>}
      <ol className="lines">
        {round?.winners.map((each) => (
          <li className="line" key={each.signature} data-fresh={each.signature === winner?.signature}>
            <WalletName wallet={each.winner} own={own} />
            <span>{countOf(each.amount, 'token')}</span>
            <AgeText clock={clock} since={each.at} what="Drawn" />
          </li>
        ))}
      </ol>
    </section>
  )
}
