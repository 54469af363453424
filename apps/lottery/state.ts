import { at, feed, WeirError } from '@weir/gateway'
import { z } from 'zod'
import { pot, round } from './chain.ts'
import { Winner } from './ledger.ts'
import { price } from './price.ts'
import { SETTINGS } from './settings.ts'

const { mint, pot: potAddress, ticket } = SETTINGS

/** The token's price; null if it is unknown, since the rest of the state is useful without it. */
async function tokenPrice(): Promise<{ readonly value: number | null; readonly age: number }> {
  try {
    const { value, age } = await price.get({ tokenMint: mint })
    return { value: value.price, age }
  } catch (error) {
    if (error instanceof WeirError) return { value: null, age: 0 }
    throw error
  }
}

/** Returns a function that computes the time of the oldest of several values. */
function updates(): (...parts: readonly { readonly age: number }[]) => number {
  let last = 0
  return (...parts) => {
    const oldest = Date.now() - Math.max(...parts.map(({ age }) => age))
    // Whole seconds, since a change by a millisecond would be sent to every player. It never decreases, even if a part is older than before.
    last = Math.max(last, Math.floor(oldest / 1000) * 1000)
    return last
  }
}

const lastUpdate = updates()
const lastCount = updates()

/** All fields of the state. Each feed picks those of its schema. */
async function standing() {
  const parts = await Promise.all([tokenPrice(), pot.get({}), round.get({})])
  const [price, { value: inPot }, { value: standing }] = parts
  const declared = { tokenMint: mint, pot: potAddress, ticket }
  return { ...declared, ...standing, tokenPrice: price.value, jackpot: inPot.jackpot, lastUpdate: lastUpdate(...parts) }
}

const kept = { fresh: '5s', stale: '30s', staleIfError: '1h' } as const
/** An entry reaches the pot before the book, and a state must contain both. */
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

/** The state that every player sees. */
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

/** The state with all details of the round. */
export const lottery = feed('/api/lottery/state', {
  ...{ name: 'lottery', key: {}, value: Lottery, load: { one: standing }, live },
  ...kept,
})

/** Number of wallets in this round. */
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
