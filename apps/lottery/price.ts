import { absent, feed, http } from '@weir/gateway'
import { z } from 'zod'
import { SETTINGS } from './settings.ts'
import { Pubkey } from './token.ts'

/** Where prices of tokens come from. What the seed allows is two calls a second, whoever asks for how many tokens. */
const jupiter = http({
  name: 'prices',
  ...SETTINGS.prices,
  auth: { header: 'x-api-key' },
  limits: [{ calls: 2, per: '1s' }],
  concurrency: 2,
})

/** `GET /price/v3`: mints without a price are left out. */
const Prices = z.record(z.string(), z.object({ usdPrice: z.number() }))

/** What one token costs, in US dollars. */
export const price = feed('/api/price/:tokenMint', {
  name: 'price',
  key: { tokenMint: Pubkey },
  value: z.object({ tokenMint: z.string(), price: z.number() }),
  from: jupiter,
  load: {
    batch: 50,
    within: '100ms',
    many: async (keys, call) => {
      const ids = keys.map(({ tokenMint }) => tokenMint)
      const found = await call.get('/price/v3', { query: { ids: ids.join() }, answer: Prices })
      return ids.map((tokenMint) => {
        const price = found[tokenMint]?.usdPrice
        return price === undefined ? absent('not priced', { for: '30s' }) : { tokenMint, price }
      })
    },
  },
  fresh: '5s',
  stale: '30s',
  staleIfError: '1h',
  // The lottery's state is told without a price that takes longer.
  deadline: '3s',
  live: { every: '5s' },
})
