import { looksLikeAddress } from '../base58.ts'
import type { Market } from './market.ts'
import { badRequest, type Reply, reply } from './reply.ts'

/** What happens to a call with more ids than allowed: nobody has written down what Jupiter does. */
export type TooManyIds = 'refuse' | 'truncate'

const MOST_IDS = 50

interface PriceV3 {
  readonly createdAt: string
  readonly liquidity?: number
  readonly usdPrice: number
  readonly blockId: number | null
  readonly decimals: number
  readonly priceChange24h: number | null
}

/** `GET /price/v3`: tokens that are not priced, or not known, are left out. */
export function pricesV3(market: Market, query: URLSearchParams, at: number, tooMany: TooManyIds): Reply {
  const ids = readIds(query, tooMany)
  if (typeof ids === 'string') return badRequest(ids)
  const found: Record<string, PriceV3> = {}
  for (const id of ids) {
    const token = market.find(id)
    const price = market.price(id, at)
    if (token === undefined || price === undefined) continue
    found[id] = {
      createdAt: token.createdAt,
      ...(token.liquidity !== undefined && { liquidity: token.liquidity }),
      usdPrice: price.usd,
      blockId: price.blockId,
      decimals: token.decimals,
      priceChange24h: price.change24h,
    }
  }
  return reply(200, found)
}

/** `GET /price/v2`, deprecated: prices are texts, in a wrapper. */
export function pricesV2(market: Market, query: URLSearchParams, at: number, tooMany: TooManyIds): Reply {
  const ids = readIds(query, tooMany)
  if (typeof ids === 'string') return badRequest(ids)
  const data: Record<string, { id: string; type: 'derivedPrice'; price: string }> = {}
  for (const id of ids) {
    const price = market.price(id, at)
    if (price !== undefined) data[id] = { id, type: 'derivedPrice', price: price.usd.toFixed(9) }
  }
  return reply(200, { data, timeTaken: 0.005 })
}

/** The ids asked for; a text instead says what is wrong with them. */
function readIds(query: URLSearchParams, tooMany: TooManyIds): readonly string[] | string {
  const ids = (query.get('ids') ?? '').split(',')
  if (ids.length > MOST_IDS && tooMany === 'refuse') return `Too many ids: at most ${MOST_IDS}, got ${ids.length}`
  const wrong = ids.find((id) => !looksLikeAddress(id))
  if (wrong !== undefined) return wrong === '' ? 'ids: expected mints, got an empty one' : `Invalid mint: ${wrong}`
  return ids.slice(0, MOST_IDS)
}
