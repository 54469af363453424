import { absent, feed } from '@weir/gateway'
import { z } from 'zod'
import { jupiter } from '../prices/jupiter.ts'
import { Pubkey } from './token.ts'

/** The response of `GET /price/v3`, which omits mints without a price. */
const Prices = z.record(z.string(), z.object({ usdPrice: z.number() }))

/** The price of one token, in US dollars. */
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
  // The state does not wait longer for a price.
  deadline: '3s',
  live: { every: '5s' },
})
