import { AgeText, PriceText, Skeleton } from '@weir/ui'
import type { ReactNode } from 'react'
import { countOf, formatAmount, formatMoney } from './amount.ts'
import { CountingNumber } from './counting-number.tsx'
import { usePage } from './page-context.ts'
import type { Round, Winner } from './round.ts'
import { WalletName } from './wallet-name.tsx'

interface JackpotProps {
  readonly round: Round | undefined
  /** The latest winner, for a short time. */
  readonly winner: Winner | undefined
  readonly own: string
}

/** The pot, its value, and the price of a ticket. */
export function Jackpot({ round, winner, own }: JackpotProps) {
  const { config } = usePage()
  const price = round?.tokenPrice ?? undefined
  return (
    <section className="jackpot" aria-label="Jackpot" data-won={winner !== undefined}>
      <h2 className="jackpot-title">Jackpot</h2>
      <p className="jackpot-amount">
        {round === undefined ? (
          <Skeleton width={7} />
        ) : (
          <>
            <CountingNumber value={round.jackpot} format={formatAmount} />
            <span className="jackpot-unit"> tokens</span>
          </>
        )}
      </p>
      <p className="jackpot-worth">
        {round === undefined ? (
          <Skeleton width={12} />
        ) : price === undefined ? (
          'This token has no price'
        ) : (
          <>worth {formatMoney(round.jackpot * price)}</>
        )}
      </p>
      <LastDraw last={winner ?? round?.winners[0]} fresh={winner !== undefined} own={own} />
      <dl className="figures">
        <Figure name="Participants">{round && formatAmount(round.participants)}</Figure>
        <Figure name="Tickets">{round && formatAmount(round.tickets)}</Figure>
        <Figure name="A ticket costs" beside={price && formatMoney(config.ticket * price)}>
          {countOf(config.ticket, 'token')}
        </Figure>
        <Figure name="Token price" beside={price && 'US dollars'}>
          {round && (price === undefined ? 'none' : <PriceText price={price} direction={0} />)}
        </Figure>
      </dl>
    </section>
  )
}

/** A permanent line with the last winner, emphasized after a draw. */
function LastDraw({ last, fresh, own }: { last: Winner | undefined; fresh: boolean; own: string }) {
  const { clock } = usePage()
  return (
    <p className="last-draw" data-fresh={fresh} key={last?.signature}>
      {last !== undefined && (
        <>
          <WalletName wallet={last.winner} own={own} /> {fresh ? 'just won' : 'won'} {countOf(last.amount, 'token')}{' '}
          <AgeText clock={clock} since={last.at} what="Drawn" />
        </>
      )}
    </p>
  )
}

interface FigureProps {
  readonly name: string
  /** The value in another unit. */
  readonly beside?: string | 0 | undefined
  readonly children: ReactNode
}

function Figure({ name, beside, children }: FigureProps) {
  return (
    <div className="figure" data-figure={name}>
      <dt>{name}</dt>
      <dd>{children ?? <Skeleton width={5} />}</dd>
      <dd className="figure-beside">{beside || ' '}</dd>
    </div>
  )
}
