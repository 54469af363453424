import { useStatus, WeirContext } from '@weir/client/react'
import { ConnectionPill, CopyButton, Mark, shortAddress, ThemeSwitch } from '@weir/ui'
import { useState } from 'react'
import { countOf, formatAmount } from './amount.ts'
import { HistoryList } from './history-list.tsx'
import { Jackpot } from './jackpot.tsx'
import { type Page, PageContext } from './page-context.ts'
import { StatusLine } from './status-line.tsx'
import { useNewWinner, useRound } from './use-round.ts'
import { readWallet } from './wallet-address.ts'
import { WalletCheck } from './wallet-check.tsx'
import { rememberedWallet, rememberWallet } from './wallet-store.ts'
import { WinnersList } from './winners-list.tsx'

/** A live lottery. */
export function LotteryPage({ page }: { readonly page: Page }) {
  return (
    <WeirContext value={page.client}>
      <PageContext value={page}>
        <Frame page={page} />
      </PageContext>
    </WeirContext>
  )
}

function Frame({ page: { clock, config } }: { readonly page: Page }) {
  const status = useStatus()
  const news = useRound()
  const { round, asOf, stale, problem } = news
  const winner = useNewWinner(round)
  const [wallet, setWallet] = useState(() => {
    const read = readWallet(rememberedWallet())
    return read.state === 'wallet' ? read.wallet : ''
  })
  const choose = (next: string) => {
    rememberWallet(next)
    setWallet(next)
  }
  const unsure = (asOf > 0 ? stale : problem !== undefined) ? 1 : 0
  return (
    <div className="page" data-connection={status.state} data-stale={unsure > 0}>
      <title>{round === undefined ? 'Lottery' : `${formatAmount(round.jackpot)} · Lottery`}</title>
      <header className="top">
        <h1 className="top-name">
          <Mark />
          Lottery
        </h1>
        <div className="top-end">
          <ConnectionPill
            clock={clock}
            status={status}
            stale={unsure}
            total={1}
            oldest={asOf || Number.POSITIVE_INFINITY}
            what="Rounds"
          />
          <ThemeSwitch />
        </div>
      </header>
      <StatusLine news={news} />
      <main className="main">
        <Jackpot round={round} winner={winner} own={wallet} />
        <WalletCheck wallet={wallet} round={round} onWallet={choose} />
        <WinnersList round={round} winner={winner} own={wallet} />
        <HistoryList round={round} own={wallet} />
      </main>
      <footer className="about">
        <Address name="Token" address={config.tokenMint} />
        <Address name="Pot" address={config.pot} />
      </footer>
      <span className="hidden" role="status">
        {winner !== undefined &&
          `${winner.winner === wallet ? 'You have' : `${shortAddress(winner.winner)} has`} won ${countOf(winner.amount, 'token')}`}
      </span>
    </div>
  )
}

function Address({ name, address }: { readonly name: string; readonly address: string }) {
  return (
    <span className="about-address">
      {name} <code title={address}>{shortAddress(address)}</code>
      <CopyButton text={() => address} label={`Copy the ${name.toLowerCase()}’s address`} />
    </span>
  )
}
