import { compareVersions, type Problem, parseVersion, type ServerMessage } from '@weir/protocol'

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

/** A message about one topic. */
export type TopicMessage = Extract<ServerMessage, { topic: string }>

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

/** The entry after a message; the same object when the message says nothing new or something older. */
export function nextEntry(entry: PriceEntry, message: TopicMessage): PriceEntry {
  // These are said of logs alone.
  if (message.type === 'event' || message.type === 'gap') return entry
  if (message.type === 'error') return { ...entry, problem: message.problem }
  if (message.type === 'heartbeat') {
    // A topic that never had a value has heartbeats too, without a version.
    if (message.version === undefined || message.checkedAt === undefined) return entry
    if (compare(message.version, entry.version) !== 0) return entry
    const checkedAt = Math.max(entry.checkedAt, message.checkedAt)
    const problem = message.stale ? entry.problem : undefined
    if (checkedAt === entry.checkedAt && message.stale === entry.stale && problem === entry.problem) return entry
    return { ...entry, checkedAt, stale: message.stale, problem }
  }
  const order = compare(message.version, entry.version)
  if (order === undefined || order < 0) return entry
  if (order === 0) {
    // Said again on joining: news only if the upstream has confirmed it since.
    if (message.checkedAt <= entry.checkedAt) return entry
    return { ...entry, checkedAt: message.checkedAt, stale: false, problem: undefined }
  }
  const fresh = {
    version: message.version,
    changedAt: message.changedAt,
    checkedAt: message.checkedAt,
    stale: false,
    problem: undefined,
  }
  if (message.type === 'absent') return { ...entry, ...fresh, state: 'absent', reason: message.reason }
  const price = readPrice(message.value)
  if (price === undefined) return { ...entry, ...fresh, state: 'absent', reason: 'the server sent something else' }
  const move = entry.price === undefined ? 0 : Math.sign(price.usdPrice - entry.price.usdPrice)
  const direction = move > 0 ? 1 : move < 0 ? -1 : entry.direction
  return { ...fresh, state: 'priced', price, direction, reason: undefined }
}

/** Above zero when `version` is newer than what is shown; undefined when it is no version. */
function compare(version: string, shown: string | undefined): number | undefined {
  const next = parseVersion(version)
  if (next === undefined) return undefined
  const current = shown === undefined ? undefined : parseVersion(shown)
  return current === undefined ? 1 : compareVersions(next, current)
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
