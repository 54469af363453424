import { at, feed, WeirError } from '@weir/gateway'
import { z } from 'zod'
import { pot, round } from './chain.ts'
import { Winner } from './ledger.ts'
import { price } from './price.ts'
import { SETTINGS } from './settings.ts'

const { mint, pot: potAddress, ticket } = SETTINGS

/** The token's price; null where it has none, and where none was ever had. The rest is worth telling without it. */
async function tokenPrice(): Promise<{ readonly value: number | null; readonly age: number }> {
  try {
    const { value, age } = await price.get({ tokenMint: mint })
    return { value: value.price, age }
  } catch (error) {
    if (error instanceof WeirError) return { value: null, age: 0 }
    throw error
  }
}

/** A function that says when the oldest of some values was so. */
function updates(): (...parts: readonly { readonly age: number }[]) => number {
  let last = 0
  return (...parts) => {
    const oldest = Date.now() - Math.max(...parts.map(({ age }) => age))
    // In whole seconds: a value that moves by a millisecond would be news to every player. It never steps back, though a part may be older than before.
    last = Math.max(last, Math.floor(oldest / 1000) * 1000)
    return last
  }
}

const lastUpdate = updates()
const lastCount = updates()

/** All that there is to say; each feed takes what its schema names. */
async function standing() {
  const parts = await Promise.all([tokenPrice(), pot.get({}), round.get({})])
  const [price, { value: inPot }, { value: standing }] = parts
  const declared = { tokenMint: mint, pot: potAddress, ticket }
  return { ...declared, ...standing, tokenPrice: price.value, jackpot: inPot.jackpot, lastUpdate: lastUpdate(...parts) }
}

const kept = { fresh: '5s', stale: '30s', staleIfError: '1h' } as const
/** An entry is in the pot before it is in the book: a state has both. */
const live = {
  dependsOn: () => [at(price, { tokenMint: mint }), at(pot, {}), at(round, {})],
  within: '300ms',
  revalidateEvery: '10s',
} as const

const State = z.object({
  tokenPrice: z.number().nullable(),
  jackpot: z.number(),
  participants: z.int(),
  lastUpdate: z.int(),
})

/** What every player sees. */
export const state = feed('/api/state', {
  ...{ name: 'state', key: {}, value: State, load: { one: standing }, live },
  ...kept,
})

const Lottery = State.extend({
  tokenMint: z.string(),
  pot: z.string(),
  ticket: z.number(),
  tickets: z.int(),
  winners: z.array(Winner).readonly(),
})

/** The same, and all else that there is to say of the round. */
export const lottery = feed('/api/lottery/state', {
  ...{ name: 'lottery', key: {}, value: Lottery, load: { one: standing }, live },
  ...kept,
})

/** How many wallets have entered this round. */
export const participants = feed('/api/lottery/participants/count', {
  name: 'participants',
  key: {},
  value: z.object({ count: z.int(), lastUpdate: z.int() }),
  load: {
    one: async () => {
      const { value, age } = await round.get({})
      return { count: value.participants, lastUpdate: lastCount({ age }) }
    },
  },
  ...kept,
  live: { dependsOn: () => [at(round, {})], revalidateEvery: '10s' },
})
