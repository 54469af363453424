import type { Client, Entry } from '@weir/client'
import type { SeriesPoint } from '@weir/ui'
import { INITIAL_ENTRY, nextEntry, type PriceEntry } from './price-entry.ts'
import { addPoint, endLast } from './price-history.ts'

const PREFIX = '/prices/'
const NO_POINTS: readonly SeriesPoint[] = []
// The chart may start with a price that was confirmed within this time, in milliseconds.
const RECENT = 3_000
// A live connection confirms each price within this time, in milliseconds.
const CONFIRM_INTERVAL = 20_000
// How often values that depend on all prices, such as the row order, may be recomputed, in milliseconds.
const OVERVIEW_INTERVAL = 1_000

/** All prices that the page has received. A change notifies only the subscribers of that token. */
export class PriceStore {
  readonly #client: Pick<Client, 'subscribe' | 'now'>
  readonly #entries = new Map<string, PriceEntry>()
  /** Subscriptions by mint, each with its cancel function. */
  readonly #followed = new Map<string, () => void>()
  readonly #points = new Map<string, readonly SeriesPoint[]>()
  readonly #listeners = new Map<string, Set<() => void>>()
  readonly #overviewListeners = new Set<() => void>()
  #overview = 0
  #overviewTimer: ReturnType<typeof setTimeout> | undefined

  constructor(client: Pick<Client, 'subscribe' | 'now'>) {
    this.#client = client
  }

  entry(mint: string): PriceEntry {
    return this.#entries.get(mint) ?? INITIAL_ENTRY
  }

  /** The prices seen since the page was opened. */
  points(mint: string): readonly SeriesPoint[] {
    return this.#points.get(mint) ?? NO_POINTS
  }

  subscribe(mint: string, changed: () => void): () => void {
    const listeners = this.#listeners.get(mint) ?? new Set()
    this.#listeners.set(mint, listeners.add(changed))
    return () => {
      listeners.delete(changed)
      if (listeners.size === 0 && this.#listeners.get(mint) === listeners) this.#listeners.delete(mint)
    }
  }

  /** Sets the tokens to keep up to date. The client keeps a dropped price for some seconds, so a token that returns has it immediately. */
  follow(mints: readonly string[]): void {
    const wanted = new Set(mints)
    // Subscribe to new tokens first, so that the client always has a subscription.
    for (const mint of wanted) {
      if (this.#followed.has(mint)) continue
      this.#followed.set(
        mint,
        this.#client.subscribe(PREFIX + mint, (entry) => this.#receive(mint, entry)),
      )
    }
    for (const [mint, stop] of this.#followed) {
      if (wanted.has(mint)) continue
      this.#followed.delete(mint)
      this.#entries.delete(mint)
      stop()
    }
  }

  /** A counter that increases after any price changes, at most once a second. */
  overview = (): number => this.#overview

  subscribeOverview = (changed: () => void): (() => void) => {
    this.#overviewListeners.add(changed)
    return () => this.#overviewListeners.delete(changed)
  }

  #receive(mint: string, update: Entry): void {
    const before = this.entry(mint)
    const after = nextEntry(before, update)
    this.#entries.set(mint, after)
    this.#chart(mint, before, after)
    for (const changed of this.#listeners.get(mint) ?? []) changed()
    this.#overviewTimer ??= setTimeout(this.#notifyOverview, this.#overview === 0 ? 0 : OVERVIEW_INTERVAL)
  }

  #chart(mint: string, before: PriceEntry, after: PriceEntry): void {
    let points = this.points(mint)
    // The price is unknown while it is unconfirmed, so the line ends and continues with the next confirmed price.
    if (after.stale || after.checkedAt - before.checkedAt > CONFIRM_INTERVAL) points = endLast(points, before.checkedAt)
    // The chart starts with the page, so a price from an earlier visit is not a point.
    if (after.price !== undefined && after.state === 'priced' && !after.stale) {
      // The first point must be a current price, since an older one may have been outdated on arrival.
      const first = points.length === 0
      const at = first ? after.checkedAt : after.changedAt
      const isCurrent = this.#client.now() - after.checkedAt <= RECENT
      const { usdPrice: value } = after.price
      if (first ? isCurrent : after.version !== before.version) points = addPoint(points, { at, value })
      // After a gap the price may be unchanged, or may have changed before the gap.
      if (points.at(-1)?.heldUntil !== undefined) points = addPoint(points, { at: after.checkedAt, value })
    }
    if (points.length > 0) this.#points.set(mint, points)
  }

  #notifyOverview = (): void => {
    this.#overviewTimer = undefined
    this.#overview += 1
    for (const changed of this.#overviewListeners) changed()
  }
}
