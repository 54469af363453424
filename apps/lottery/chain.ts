import { absent, at, feed, jsonRpcPush, log } from '@weir/gateway'
import { z } from 'zod'
import { Event, type History, Ledger, Round } from './ledger.ts'
import { SETTINGS } from './settings.ts'
import { ACCOUNT, account, accounts, pushedAccount, pushedOfProgram, solana } from './solana.ts'
import { associated, mintIn, Pubkey, TOKEN_PROGRAM, tokensIn, walletAt, whole } from './token.ts'

const { mint, pot: address, socket, ticket } = SETTINGS

/** A mint. Its supply may change, but is loaded as rarely as the other fields, which never change. */
export const token = feed('/api/tokens/:tokenMint', {
  name: 'token',
  key: { tokenMint: Pubkey },
  value: z.object({ tokenMint: z.string(), decimals: z.int(), supply: z.number(), program: z.string() }),
  from: solana,
  load: {
    batch: 100,
    within: '100ms',
    many: async (keys, call) => {
      const mints = keys.map(({ tokenMint }) => tokenMint)
      const found = await accounts(call, mints)
      return mints.map((tokenMint, index) => {
        const account = found[index] ?? null
        const read = mintIn(account)
        if (read === undefined || account === null) return absent('no mint of a token', { for: '1m' })
        const { decimals, supply } = read
        return { tokenMint, decimals, supply: whole(supply, decimals), program: account.owner }
      })
    },
  },
  fresh: '10m',
  stale: '1d',
  prewarm: [{ tokenMint: mint }],
})

/** Decimals of loaded mints, because pushed accounts are parsed synchronously. */
const decimalsOf = new Map<string, number>()

async function tokenOf(tokenMint: string) {
  const { value } = await token.get({ tokenMint })
  decimalsOf.set(tokenMint, value.decimals)
  return value
}

/** The balance of the pot on the chain, in whole tokens. */
export const pot = feed('/api/lottery/pot', {
  name: 'pot',
  key: {},
  value: z.object({ jackpot: z.number(), amount: z.string() }),
  from: solana,
  load: {
    one: async (_key, call) => {
      const { decimals } = await tokenOf(mint)
      const tokens = tokensIn(await account(call, address))
      if (tokens?.mint !== mint)
        throw new Error(`${address}: expected an account of ${mint}, got ${tokens?.mint ?? 'none'}`)
      return { jackpot: whole(tokens.amount, decimals), amount: String(tokens.amount) }
    },
  },
  fresh: '1s',
  stale: '30s',
  staleIfError: '1h',
  live: jsonRpcPush({
    url: socket,
    subscribe: () => ['accountSubscribe', [address, ACCOUNT]],
    unsubscribe: 'accountUnsubscribe',
    value: (result) => {
      const tokens = tokensIn(pushedAccount(result) ?? null)
      const decimals = decimalsOf.get(mint)
      if (tokens?.mint !== mint || decimals === undefined) return undefined
      return { jackpot: whole(tokens.amount, decimals), amount: String(tokens.amount) }
    },
    silenceTimeout: '10s',
    // A lagging node keeps its connection, but its older updates are ignored.
    revalidateEvery: '10s',
  }),
})

/** All transactions that bought tickets or paid out the pot. */
export const history: History = log('/api/lottery/history', {
  name: 'history',
  key: {},
  event: Event,
  history: { events: 100_000, age: '90d' },
  // Loading the round writes the book, so readers of the history trigger a read of the chain.
  dependsOn: () => at(round, {}),
})

let ledger: Ledger | undefined

/** The participants of the current round, and earlier winners. It reloads with the pot, because every entry changes the pot. */
export const round = feed('/api/lottery/round', {
  name: 'round',
  key: {},
  value: Round,
  from: solana,
  load: {
    one: async (_key, call) => {
      const { decimals } = await tokenOf(mint)
      ledger ??= new Ledger({ pot: address, mint, history, ticket: BigInt(ticket) * 10n ** BigInt(decimals), decimals })
      return ledger.catchUp(call)
    },
  },
  fresh: '1s',
  stale: '30s',
  staleIfError: '1h',
  deadline: '30s',
  live: { dependsOn: () => [at(pot, {})] },
})

interface Holding {
  readonly tokenMint: string
  readonly wallet: string
}

/** The token balance of a wallet, in its associated account. */
export const balance = feed('/api/tokens/:tokenMint/balances/:wallet', {
  name: 'balance',
  key: { tokenMint: Pubkey, wallet: Pubkey },
  value: z.object({ wallet: z.string(), balance: z.number() }),
  from: solana,
  load: {
    batch: 100,
    within: '100ms',
    many: async (keys, call) => {
      const tokens = await Promise.all(keys.map(({ tokenMint }) => tokenOf(tokenMint).catch((error: Error) => error)))
      const places = await Promise.all(
        keys.map(({ wallet, tokenMint }, index) => {
          const token = tokens[index]
          return token === undefined || token instanceof Error
            ? undefined
            : associated(wallet, tokenMint, token.program)
        }),
      )
      const found = await accounts(
        call,
        places.filter((place) => place !== undefined),
      )
      let next = 0
      return keys.map(({ wallet }, index) => {
        const token = tokens[index]
        if (token === undefined || token instanceof Error) return token ?? absent('no such token')
        const amount = tokensIn(found[next++] ?? null)?.amount ?? 0n
        return { wallet, balance: whole(amount, token.decimals) }
      })
    },
  },
  fresh: '5s',
  stale: '30s',
  staleIfError: '1h',
  live: jsonRpcPush({
    url: socket,
    subscribe: ({ tokenMint }: Holding) => [
      'programSubscribe',
      [TOKEN_PROGRAM, { ...ACCOUNT, filters: [{ dataSize: 165 }, { memcmp: { offset: 0, bytes: tokenMint } }] }],
    ],
    unsubscribe: 'programUnsubscribe',
    keyOf: (result) => {
      const { pubkey, account } = pushedOfProgram(result)
      const [wallet, tokens] = [walletAt(pubkey), tokensIn(account)]
      return wallet === undefined || tokens === undefined ? undefined : { tokenMint: tokens.mint, wallet }
    },
    value: (result, { tokenMint, wallet }) => {
      const { account, isNews } = pushedOfProgram(result)
      const [tokens, decimals] = [tokensIn(account), decimalsOf.get(tokenMint)]
      if (!isNews || tokens === undefined || decimals === undefined) return undefined
      return { wallet, balance: whole(tokens.amount, decimals) }
    },
    silenceTimeout: '10s',
  }),
})
