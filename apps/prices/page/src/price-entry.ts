import type { Entry } from '@weir/client'
import type { Problem } from '@weir/protocol'

/** What the price feed says of a token. */
export interface Price {
  /** US dollars. */
  readonly usdPrice: number
  /** Percent. */
  readonly priceChange24h: number | null
  /** US dollars. */
  readonly liquidity: number | null
  readonly decimals: number
}

/** What is known of one token's price. Entries are never changed, only replaced. */
export interface PriceEntry {
  /** `absent`: the upstream does not price it. `price` then holds the last one there was, if any. */
  readonly state: 'waiting' | 'priced' | 'absent'
  /** `epoch:sequence` of what is shown. */
  readonly version: string | undefined
  /** Milliseconds since 1970 by the server's clock. */
  readonly changedAt: number
  readonly checkedAt: number
  readonly stale: boolean
  readonly price: Price | undefined
  /** Which way the last change went. */
  readonly direction: -1 | 0 | 1
  /** Why there is no price. */
  readonly reason: string | undefined
  /** Set while the server can't get the value; the last one stays. */
  readonly problem: Problem | undefined
}

export const NOTHING_YET: PriceEntry = {
  state: 'waiting',
  version: undefined,
  changedAt: 0,
  checkedAt: 0,
  stale: false,
  price: undefined,
  direction: 0,
  reason: undefined,
  problem: undefined,
}

/** The entry after news of the client, whose versions only rise. */
export function nextEntry(before: PriceEntry, news: Entry): PriceEntry {
  const { version, changedAt, checkedAt, stale, problem } = news
  const now = { ...before, version, changedAt, checkedAt, stale, problem }
  if (version === undefined || version === before.version) return now
  const price = news.absent === undefined ? readPrice(news.value) : undefined
  if (price === undefined) return { ...now, state: 'absent', reason: news.absent ?? 'the server sent something else' }
  const move = before.price === undefined ? 0 : Math.sign(price.usdPrice - before.price.usdPrice)
  const direction = move > 0 ? 1 : move < 0 ? -1 : before.direction
  return { ...now, state: 'priced', price, direction, reason: undefined }
}

/** Checks that a value is a price; undefined when it is not. */
export function readPrice(value: unknown): Price | undefined {
  if (typeof value !== 'object' || value === null || !('usdPrice' in value)) return undefined
  const { usdPrice } = value
  if (typeof usdPrice !== 'number' || !Number.isFinite(usdPrice)) return undefined
  return {
    usdPrice,
    priceChange24h: 'priceChange24h' in value ? numberOrNull(value.priceChange24h) : null,
    liquidity: 'liquidity' in value ? numberOrNull(value.liquidity) : null,
    decimals: ('decimals' in value ? numberOrNull(value.decimals) : null) ?? 0,
  }
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}
