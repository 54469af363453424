import { useFeed, useStatus } from '@weir/client/react'
import { AgeText, CopyButton, Icon, Skeleton } from '@weir/ui'
import { useEffect, useId, useState } from 'react'
import { countOf, formatMoney } from './amount.ts'
import { usePage } from './page-context.ts'
import type { Round } from './round.ts'
import { TicketCount, type Tickets } from './ticket-count.ts'
import { readWallet } from './wallet-address.ts'

interface WalletCheckProps {
  /** The checked wallet; empty for none. */
  readonly wallet: string
  readonly round: Round | undefined
  onWallet(wallet: string): void
}

/** The balance of a wallet and its tickets in this round. Addresses are public, so no login is needed. */
export function WalletCheck({ wallet, round, onWallet }: WalletCheckProps) {
  const id = useId()
  const [text, setText] = useState(wallet)
  const read = readWallet(text)
  const type = (typed: string) => {
    setText(typed)
    const now = readWallet(typed)
    onWallet(now.state === 'wallet' ? now.wallet : '')
  }
  return (
    <section className="check" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Check my wallet</h2>
      <div className="field">
        <input
          className="field-input"
          type="text"
          aria-label="Address of a wallet"
          aria-describedby={`${id}-hint`}
          aria-invalid={read.state === 'wrong'}
          placeholder="Address of a Solana wallet"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={text}
          onChange={(event) => type(event.target.value)}
        />
        {text !== '' && (
          <button type="button" className="icon-button" title="Forget this wallet" onClick={() => type('')}>
            <Icon name="close" />
            <span className="hidden">Forget this wallet</span>
          </button>
        )}
      </div>
      <p className="hint" id={`${id}-hint`} data-tone={read.state === 'wrong' ? 'lost' : 'calm'}>
        {read.state === 'wrong' && read.why}
        {read.state === 'short' && 'An address has 32 to 44 characters.'}
        {read.state === 'empty' && 'Updated live, and stored only on this device.'}
        {read.state === 'wallet' && 'Stored only on this device.'}
      </p>
      {wallet !== '' && <Holding key={wallet} wallet={wallet} round={round} />}
    </section>
  )
}

function Holding({ wallet, round }: { readonly wallet: string; readonly round: Round | undefined }) {
  const { clock, config } = usePage()
  const tickets = useTickets(wallet)
  const topic = `/api/tokens/${config.tokenMint}/balances/${wallet}`
  const { value, checkedAt, stale, problem } = useFeed<{ readonly balance: number }>(topic)
  const price = round?.tokenPrice ?? undefined
  const lost = useStatus().state === 'offline'
  const coming = (width: number) => (lost ? '–' : <Skeleton width={width} />)
  return (
    <dl className="holding" data-stale={stale}>
      <div className="fact" data-fact="Balance">
        <dt>Balance</dt>
        <dd>
          {value !== undefined && countOf(value.balance, 'token')}
          {value === undefined && (problem === undefined ? coming(12) : problem.detail)}
        </dd>
      </div>
      <div className="fact" data-fact="Worth">
        <dt>Worth</dt>
        <dd>{value === undefined || price === undefined ? '–' : formatMoney(value.balance * price)}</dd>
      </div>
      <div className="fact" data-fact="Tickets">
        <dt>Tickets in this round</dt>
        <dd>{tickets?.known ? ticketWords(tickets, round?.tickets ?? 0) : coming(8)}</dd>
      </div>
      <div className="fact" data-fact="Confirmed">
        <dt>Confirmed</dt>
        <dd>
          {checkedAt > 0 ? <AgeText clock={clock} since={checkedAt} what="Confirmed" /> : '–'}
          <CopyButton text={() => wallet} label="Copy address" />
        </dd>
      </div>
    </dl>
  )
}

/** Shows `at least` when the history lacks a part of the round. The two numbers have different sources, so one may be slightly ahead. */
export function ticketWords({ count, whole }: Tickets, all: number): string {
  return `${whole ? '' : 'at least '}${count}${all >= count && all > 0 ? ` of ${all}` : ''}`
}

function useTickets(wallet: string): Tickets | undefined {
  const { client, history } = usePage()
  const [tickets, setTickets] = useState<Tickets>()
  useEffect(() => {
    const count = new TicketCount(client, history, wallet)
    const stop = count.subscribe(() => setTickets(count.get()))
    return () => {
      stop()
      count.close()
    }
  }, [client, history, wallet])
  return tickets
}
