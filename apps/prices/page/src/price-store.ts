import type { Client, Entry } from '@weir/client'
import type { SeriesPoint } from '@weir/ui'
import { NOTHING_YET, nextEntry, type PriceEntry } from './price-entry.ts'
import { addPoint, endLast } from './price-history.ts'

const PREFIX = '/prices/'
const NO_POINTS: readonly SeriesPoint[] = []
// A price that was confirmed within this time, in milliseconds, may begin the chart.
const RECENT = 3_000
// A connection that lives confirms each price within this time, in milliseconds.
const CONFIRMED_EACH = 20_000
// How often whatever depends on all prices at once (the order of rows, the count of stale ones) may be worked out anew.
const OVERVIEW = 1_000

/** Every price the page has heard of. A change is told to those who watch that token alone. */
export class PriceStore {
  readonly #client: Pick<Client, 'subscribe' | 'now'>
  readonly #entries = new Map<string, PriceEntry>()
  /** What ends the following of each. */
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
    return this.#entries.get(mint) ?? NOTHING_YET
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

  /** From now on these tokens are kept up to date. One that comes back within some seconds has its price at once: the client keeps it. */
  follow(mints: readonly string[]): void {
    const wanted = new Set(mints)
    // The new ones first: the client never finds itself with nothing to hear.
    for (const mint of wanted) {
      if (this.#followed.has(mint)) continue
      this.#followed.set(
        mint,
        this.#client.subscribe(PREFIX + mint, (entry) => this.#hear(mint, entry)),
      )
    }
    for (const [mint, stop] of this.#followed) {
      if (wanted.has(mint)) continue
      this.#followed.delete(mint)
      this.#entries.delete(mint)
      stop()
    }
  }

  /** A number that moves at most once a second, some time after any price did. */
  overview = (): number => this.#overview

  subscribeOverview = (changed: () => void): (() => void) => {
    this.#overviewListeners.add(changed)
    return () => this.#overviewListeners.delete(changed)
  }

  #hear(mint: string, news: Entry): void {
    const before = this.entry(mint)
    const after = nextEntry(before, news)
    this.#entries.set(mint, after)
    this.#chart(mint, before, after)
    for (const changed of this.#listeners.get(mint) ?? []) changed()
    this.#overviewTimer ??= setTimeout(this.#tellOverview, this.#overview === 0 ? 0 : OVERVIEW)
  }

  #chart(mint: string, before: PriceEntry, after: PriceEntry): void {
    let points = this.points(mint)
    // A price that nothing confirmed may have been another: the line stops, and goes on where there is a price again.
    if (after.stale || after.checkedAt - before.checkedAt > CONFIRMED_EACH) points = endLast(points, before.checkedAt)
    // What is shown from an earlier visit is no point: the chart begins with the page.
    if (after.price !== undefined && after.state === 'priced' && !after.stale) {
      // The first point is a price that still held when it came: an older one was not the price at that time.
      const first = points.length === 0
      const at = first ? after.checkedAt : after.changedAt
      const holds = this.#client.now() - after.checkedAt <= RECENT
      const { usdPrice: value } = after.price
      if (first ? holds : after.version !== before.version) points = addPoint(points, { at, value })
      // The same price again, or one that changed before it was lost.
      if (points.at(-1)?.heldUntil !== undefined) points = addPoint(points, { at: after.checkedAt, value })
    }
    if (points.length > 0) this.#points.set(mint, points)
  }

  #tellOverview = (): void => {
    this.#overviewTimer = undefined
    this.#overview += 1
    for (const changed of this.#overviewListeners) changed()
  }
}
