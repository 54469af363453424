import type { Entry } from '@weir/client'
import type { Problem } from '@weir/protocol'

/** A value of the price feed. */
export interface Price {
  /** US dollars. */
  readonly usdPrice: number
  /** Percent. */
  readonly priceChange24h: number | null
  /** US dollars. */
  readonly liquidity: number | null
  readonly decimals: number
}

/** The current state of a token's price. Entries are immutable. */
export interface PriceEntry {
  /** `absent`: the upstream has no price. `price` is then the last known price, if any. */
  readonly state: 'waiting' | 'priced' | 'absent'
  /** `epoch:sequence` of the shown value. */
  readonly version: string | undefined
  /** Milliseconds since 1970 by the server's clock. */
  readonly changedAt: number
  readonly checkedAt: number
  readonly stale: boolean
  readonly price: Price | undefined
  /** The direction of the last change. */
  readonly direction: -1 | 0 | 1
  /** Why there is no price. */
  readonly reason: string | undefined
  /** Set while the server fails to load the value. The last price stays. */
  readonly problem: Problem | undefined
}

export const INITIAL_ENTRY: PriceEntry = {
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

/** Applies an update of the client, whose versions only increase. */
export function nextEntry(before: PriceEntry, update: Entry): PriceEntry {
  const { version, changedAt, checkedAt, stale, problem } = update
  const now = { ...before, version, changedAt, checkedAt, stale, problem }
  if (version === undefined || version === before.version) return now
  const price = update.absent === undefined ? readPrice(update.value) : undefined
  if (price === undefined)
    return { ...now, state: 'absent', reason: update.absent ?? 'the server sent an invalid price' }
  const move = before.price === undefined ? 0 : Math.sign(price.usdPrice - before.price.usdPrice)
  const direction = move > 0 ? 1 : move < 0 ? -1 : before.direction
  return { ...now, state: 'priced', price, direction, reason: undefined }
}

/** Parses a price; undefined when the value is not a price. */
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
