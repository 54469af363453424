import { absent, defineApp, feed, proxy, stream } from '@weir/gateway'
import { z } from 'zod'
import { jupiter, Mint, Price, Prices, Token, Tokens } from './jupiter.ts'
import { POPULAR } from './popular.ts'

export const price = feed('/prices/:mint', {
  name: 'price',
  key: { mint: Mint },
  value: Price,
  from: jupiter,
  load: {
    batch: 50,
    within: '100ms',
    many: async (keys, call) => {
      const found = await call.get('/price/v3', { query: { ids: keys.map((k) => k.mint).join() }, answer: Prices })
      return keys.map((k) => found[k.mint] ?? absent('not priced', { for: '10s' }))
    },
  },
  fresh: '1s',
  // The first reader after a quiet time waits for what it is now; only while Jupiter fails an older price is better than none.
  stale: '2s',
  staleIfError: '30s',
  live: { every: '1s', linger: '30s' },
  prewarm: POPULAR,
})

export const token = feed('/tokens/:mint', {
  name: 'token',
  key: { mint: Mint },
  value: Token,
  from: jupiter,
  load: {
    batch: 100,
    within: '100ms',
    many: (keys, call) =>
      call.get('/tokens/v2/search', { query: { query: keys.map((k) => k.mint).join() }, answer: Tokens }),
    keyOf: ({ mint }) => ({ mint }),
    missing: '1m',
  },
  fresh: '10m',
  stale: '1d',
  // A list without names and a search that rests are borne for a while; prices that stand still are not.
  essential: false,
})

export const search = feed('/tokens/search', {
  name: 'search',
  key: { query: z.string().trim().toLowerCase().min(1, 'expected a symbol, a name or a mint').max(100) },
  value: z.array(Token),
  from: jupiter,
  load: { one: ({ query }, call) => call.get('/tokens/v2/search', { query: { query }, answer: Tokens }) },
  fresh: '30s',
  stale: '10m',
  cdn: '1m',
  essential: false,
})

/** `?mints=a,b` follows these; without it, everything that anybody watches, and the popular ones. */
export const prices = stream('/api/stream', { of: price, choose: { query: 'mints', part: 'mint' }, always: POPULAR })

/** Jupiter's own answers, for those who speak its API: asked once a second for all. Edges keep prices for a minute, and no quotes: those are traded on. */
const own = proxy('/api/jupiter/*', {
  to: jupiter,
  name: 'jupiter',
  paths: ['/price/v3', '/swap/v1/quote'],
  fresh: '1s',
  cdn: '1m',
  cdnPaths: ['/price/v3'],
})

export default defineApp({
  name: 'prices',
  use: [price, token, search, prices, own],
  graphql: true,
  page: new URL('./page/dist/', import.meta.url),
})
