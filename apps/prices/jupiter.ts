import { env } from 'node:process'
import { ConfigError, http, type Limit } from '@weir/gateway'
import { z } from 'zod'

interface Plan {
  readonly limit: Limit
  /** Calls per window left to other users of the same account. */
  readonly reserve: number
}

/**
 * Jupiter limits an organisation over sliding windows of 60 s, such as 3,000 calls on Launch. Limits per second keep within these
 * and spread the calls. Without a key, the limit is 0.5 calls per second, and a burst of six is refused.
 */
const PLANS: Readonly<Record<string, Plan>> = {
  keyless: { limit: { calls: 1, per: '2s' }, reserve: 0 },
  free: { limit: { calls: 1, per: '1s' }, reserve: 0 },
  developer: { limit: { calls: 10, per: '1s' }, reserve: 1 },
  launch: { limit: { calls: 50, per: '1s' }, reserve: 5 },
  pro: { limit: { calls: 150, per: '1s' }, reserve: 15 },
}

// An empty variable counts as unset.
const name = env.JUPITER_PLAN || 'launch'
const plan = PLANS[name]
if (plan === undefined) throw new ConfigError('app "prices"', 'JUPITER_PLAN', Object.keys(PLANS).join(', '), name)

/** All apps use one account and share its budget. */
export const jupiter = http({
  name: 'jupiter',
  url: env.JUPITER_URL,
  keys: env.JUPITER_API_KEYS,
  auth: { header: 'x-api-key' },
  limits: [plan.limit],
  reserve: plan.reserve,
  concurrency: 10,
})

/** A mint address: 32 bytes in base58. */
export const Mint = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, 'expected a mint address in base58')

/** The price of a token. `blockId` is omitted, since it changes with every block, even when the price does not. */
export const Price = z.object({
  usdPrice: z.number(),
  /** Percent. */
  priceChange24h: z.number().nullable().default(null),
  liquidity: z.number().nullable().default(null),
  decimals: z.int(),
})

/** The response of `GET /price/v3`, which omits mints without a price. */
export const Prices = z.record(z.string(), Price)

/** The metadata of a token. */
export const Token = z.object({
  mint: z.string(),
  name: z.string(),
  symbol: z.string(),
  decimals: z.int(),
  icon: z.string().nullable(),
  verified: z.boolean(),
  liquidity: z.number().nullable(),
  usdPrice: z.number().nullable(),
})

/** The response of `GET /tokens/v2/search`. */
export const Tokens = z.array(
  z
    .object({
      id: z.string(),
      name: z.string(),
      symbol: z.string(),
      decimals: z.int(),
      icon: z.string().nullish(),
      isVerified: z.boolean().nullish(),
      liquidity: z.number().nullish(),
      usdPrice: z.number().nullish(),
    })
    .transform(({ id, name, symbol, decimals, icon, isVerified, liquidity, usdPrice }) => ({
      mint: id,
      name,
      symbol,
      decimals,
      icon: icon ?? null,
      verified: isVerified ?? false,
      liquidity: liquidity ?? null,
      usdPrice: usdPrice ?? null,
    })),
)
