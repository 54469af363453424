import { looksLikeAddress } from '../base58.ts'
import { hash } from '../random.ts'
import type { Listing } from './listing.ts'
import type { Market } from './market.ts'
import { badRequest, type Reply, reply } from './reply.ts'

const MOST_MINTS = 100
const MOST_MATCHES = 20
const RECENT = 30

const TAGS: Readonly<Record<string, (token: Listing) => boolean>> = {
  verified: (token) => token.verified,
  lst: (token) => token.kind === 'lst',
  stocks: (token) => token.kind === 'stock',
}

export const CATEGORIES = ['toporganicscore', 'toptraded', 'toptrending'] as const
export const INTERVALS = ['5m', '1h', '6h', '24h'] as const

type Category = (typeof CATEGORIES)[number]
type Interval = (typeof INTERVALS)[number]

/** Share of a day. */
const SHARES: Readonly<Record<Interval, number>> = { '5m': 1 / 288, '1h': 1 / 24, '6h': 1 / 4, '24h': 1 }

/** When a token is looked at: `at` counts from the market's opening, `now` is the date in milliseconds. */
export interface Moment {
  readonly at: number
  readonly now: number
}

/** `GET /tokens/v2/search`: up to 100 mints with commas between, or part of a symbol or name, of which 20 are given. */
export function search(market: Market, query: URLSearchParams, moment: Moment): Reply {
  const text = (query.get('query') ?? '').trim()
  if (text === '') return badRequest('query is required')
  const words = text.split(',')
  if (!words.every(looksLikeAddress)) return tokens(market, matching(market.tokens, text.toLowerCase()), moment)
  if (words.length > MOST_MINTS) return badRequest(`Too many mints: at most ${MOST_MINTS}, got ${words.length}`)
  const found = words.map((mint) => market.find(mint)).filter((token) => token !== undefined)
  return tokens(market, found, moment)
}

/** `GET /tokens/v2/tag`: every token with the tag. */
export function tagged(market: Market, query: URLSearchParams, moment: Moment): Reply {
  const tag = query.get('query') ?? ''
  const has = Object.hasOwn(TAGS, tag) ? TAGS[tag] : undefined
  if (has === undefined) {
    return badRequest(`query: expected one of ${Object.keys(TAGS).join(', ')}, got ${JSON.stringify(tag)}`)
  }
  return tokens(market, market.tokens.filter(has), moment)
}

/** `GET /tokens/v2/CATEGORY/INTERVAL`: the first of a ranking. */
export function ranked(
  market: Market,
  category: Category,
  interval: Interval,
  query: URLSearchParams,
  moment: Moment,
): Reply {
  const asked = query.get('limit') ?? '50'
  const limit = Number(asked)
  if (!Number.isInteger(limit) || limit < 1 || limit > 100) return badRequest(`limit: expected 1 to 100, got ${asked}`)

  const rank = (token: Listing): number => {
    if (category === 'toporganicscore') return token.organicScore
    if (category === 'toptraded') return trades(token, interval)
    return Math.abs(market.price(token.mint, moment.at)?.change24h ?? 0) * trades(token, interval)
  }
  const order = market.tokens.filter((token) => token.price !== undefined).sort((a, b) => rank(b) - rank(a))
  return tokens(market, order.slice(0, limit), moment)
}

/** `GET /tokens/v2/recent`: the newest first. */
export function recent(market: Market, moment: Moment): Reply {
  const newest = [...market.tokens].sort((a, b) => b.createdAt.localeCompare(a.createdAt))
  return tokens(market, newest.slice(0, RECENT), moment)
}

/** Exact symbols first, then symbols that begin with it, then the rest; the most organic first in each. */
function matching(all: readonly Listing[], text: string): readonly Listing[] {
  const rank = ({ symbol, name }: Listing): number => {
    const lower = symbol.toLowerCase()
    if (lower === text) return 0
    if (lower.startsWith(text)) return 1
    return lower.includes(text) || name.toLowerCase().includes(text) ? 2 : 3
  }
  return all
    .map((token) => ({ token, rank: rank(token) }))
    .filter((found) => found.rank < 3)
    .sort((a, b) => a.rank - b.rank || b.token.organicScore - a.token.organicScore)
    .slice(0, MOST_MATCHES)
    .map((found) => found.token)
}

function tokens(market: Market, found: readonly Listing[], moment: Moment): Reply {
  return reply(
    200,
    found.map((token) => toToken(token, market, moment)),
  )
}

function toToken(token: Listing, market: Market, { at, now }: Moment) {
  const price = market.price(token.mint, at)
  return {
    id: token.mint,
    name: token.name,
    symbol: token.symbol,
    icon: `https://static.jup.ag/${token.symbol.toLowerCase()}/icon.png`,
    decimals: token.decimals,
    tokenProgram: token.program,
    circSupply: token.supply,
    holderCount: token.holders,
    audit: { mintAuthorityDisabled: token.verified, ...(token.flagged && { isSus: true }) },
    organicScore: token.organicScore,
    organicScoreLabel: token.organicScore >= 80 ? 'high' : token.organicScore >= 40 ? 'medium' : 'low',
    isVerified: token.verified,
    tags: Object.keys(TAGS).filter((tag) => TAGS[tag]?.(token)),
    ...(price !== undefined && { usdPrice: price.usd, priceBlockId: price.blockId }),
    ...(token.liquidity !== undefined && { liquidity: token.liquidity }),
    ...(price !== undefined && {
      stats24h: { ...(price.change24h !== null && { priceChange: price.change24h }), numBuys: trades(token, '24h') },
    }),
    updatedAt: new Date(now).toISOString(),
  }
}

/** How often it was bought in an interval: more for larger ones, each with busy and idle hours of its own. */
function trades(token: Listing, interval: Interval): number {
  const mood = 0.5 + (hash(token.holders, interval.charCodeAt(0)) % 100) / 100
  return Math.floor(Math.sqrt(token.liquidity ?? 10_000) * 20 * mood * SHARES[interval])
}
