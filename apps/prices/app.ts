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
  // After a quiet period, the first reader waits for a new price. Only while Jupiter fails is an old price better than none.
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
  // Users can do without names and search for a while, but not without prices.
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

/** `?mints=a,b` selects tokens. Without it, the stream carries all watched and all popular tokens. */
export const prices = stream('/api/stream', { of: price, choose: { query: 'mints', part: 'mint' }, always: POPULAR })

/** Proxies Jupiter's own API, with at most one call per second and URL. A CDN may cache prices for a minute, but no quotes, because users trade on them. */
const jupiterApi = proxy('/api/jupiter/*', {
  to: jupiter,
  name: 'jupiter',
  paths: ['/price/v3', '/swap/v1/quote'],
  fresh: '1s',
  cdn: '1m',
  cdnPaths: ['/price/v3'],
})

export default defineApp({
  name: 'prices',
  use: [price, token, search, prices, jupiterApi],
  graphql: true,
  page: new URL('./page/dist/', import.meta.url),
})
