import { at, feed, WeirError } from '@weir/gateway'
import { z } from 'zod'
import { pot, round } from './chain.ts'
import { Winner } from './ledger.ts'
import { price } from './price.ts'
import { SETTINGS } from './settings.ts'

const { mint, pot: potAddress, ticket } = SETTINGS

/** The token's price; null where it has none. */
async function tokenPrice(): Promise<{ readonly value: number | null; readonly age: number }> {
  try {
    const { value, age } = await price.get({ tokenMint: mint })
    return { value: value.price, age }
  } catch (error) {
    if (error instanceof WeirError && error.code === 'absent') return { value: null, age: 0 }
    throw error
  }
}

/** When the oldest of these was so, in whole seconds: what moved by a millisecond would be news to everybody. */
function lastUpdate(...parts: readonly { readonly age: number }[]): number {
  return Math.floor((Date.now() - Math.max(...parts.map(({ age }) => age))) / 1000) * 1000
}

const asOf = ({ lastUpdate }: { readonly lastUpdate: number }) => lastUpdate

const kept = { fresh: '5s', stale: '30s', staleIfError: '1h' } as const
const follows = () => [at(price, { tokenMint: mint }), at(pot, {}), at(round, {})]

/** What every player sees. */
export const state = feed('/api/state', {
  name: 'state',
  key: {},
  value: z.object({
    tokenPrice: z.number().nullable(),
    jackpot: z.number(),
    participants: z.int(),
    lastUpdate: z.int(),
  }),
  load: {
    one: async () => {
      const parts = await Promise.all([tokenPrice(), pot.get({}), round.get({})])
      const [
        { value: tokenPrice_ },
        {
          value: { jackpot },
        },
        {
          value: { participants },
        },
      ] = parts
      return { tokenPrice: tokenPrice_, jackpot, participants, lastUpdate: lastUpdate(...parts) }
    },
  },
  ...kept,
  asOf,
  live: { follows, confirm: '10s' },
})

/** The same, and all else that there is to say of the round. */
export const lottery = feed('/api/lottery/state', {
  name: 'lottery',
  key: {},
  value: z.object({
    tokenMint: z.string(),
    pot: z.string(),
    ticket: z.number(),
    tokenPrice: z.number().nullable(),
    jackpot: z.number(),
    participants: z.int(),
    tickets: z.int(),
    winners: z.array(Winner).readonly(),
    lastUpdate: z.int(),
  }),
  load: {
    one: async () => {
      const parts = await Promise.all([tokenPrice(), pot.get({}), round.get({})])
      const [
        { value: tokenPrice_ },
        {
          value: { jackpot },
        },
        { value: standing },
      ] = parts
      const declared = { tokenMint: mint, pot: potAddress, ticket }
      return { ...declared, tokenPrice: tokenPrice_, jackpot, ...standing, lastUpdate: lastUpdate(...parts) }
    },
  },
  ...kept,
  asOf,
  live: { follows, confirm: '10s' },
})

/** How many wallets have entered this round. */
export const participants = feed('/api/lottery/participants/count', {
  name: 'participants',
  key: {},
  value: z.object({ count: z.int(), lastUpdate: z.int() }),
  load: {
    one: async () => {
      const { value, age } = await round.get({})
      return { count: value.participants, lastUpdate: lastUpdate({ age }) }
    },
  },
  ...kept,
  asOf,
  live: { follows: () => [at(round, {})], confirm: '10s' },
})
