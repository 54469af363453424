import type { ServerMessage } from '@weir/protocol'
import type { SeriesPoint } from '@weir/ui'
import { NOTHING_YET, nextEntry, type PriceEntry } from './price-entry.ts'
import { addPoint } from './price-history.ts'
import type { ServerClock } from './server-clock.ts'

const PREFIX = '/prices/'
const NO_POINTS: readonly SeriesPoint[] = []
// How often whatever depends on all prices at once (the order of rows, the count of stale ones) may be worked out anew.
const OVERVIEW = 1_000
// How long the price of a token that nobody follows any more is still shown when it comes back, as after an undo.
const KEPT = 5_000

/** Every price the page has heard of. A change is told to those who watch that token alone. */
export class PriceStore {
  readonly #clock: Pick<ServerClock, 'now' | 'set' | 'refine'>
  readonly #entries = new Map<string, PriceEntry>()
  /** Tokens that are no longer followed, and since when, by the server's clock. */
  readonly #left = new Map<string, number>()
  readonly #points = new Map<string, readonly SeriesPoint[]>()
  readonly #listeners = new Map<string, Set<() => void>>()
  readonly #overviewListeners = new Set<() => void>()
  #overview = 0
  #overviewTimer: ReturnType<typeof setTimeout> | undefined

  constructor(clock: Pick<ServerClock, 'now' | 'set' | 'refine'>) {
    this.#clock = clock
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

  /**
   * From now on these tokens are kept up to date. What else is known stays as it is and grows old: it is shown again only
   * to those who come back at once. Whatever is followed is kept, on screen or not.
   */
  follow(mints: readonly string[]): void {
    const now = this.#clock.now()
    for (const [mint, since] of this.#left) {
      if (now - since < KEPT) continue
      this.#left.delete(mint)
      this.#entries.delete(mint)
    }
    const followed = new Set(mints)
    for (const mint of this.#entries.keys()) {
      if (followed.has(mint)) this.#left.delete(mint)
      else if (!this.#left.has(mint)) this.#left.set(mint, now)
    }
  }

  /** A number that moves at most once a second, some time after any price did. */
  overview = (): number => this.#overview

  subscribeOverview = (changed: () => void): (() => void) => {
    this.#overviewListeners.add(changed)
    return () => this.#overviewListeners.delete(changed)
  }

  /** Takes in a message of the protocol. */
  apply = (message: ServerMessage): void => {
    if (message.type === 'hello') this.#clock.set(message.now)
    if (message.type === 'heartbeat') this.#clock.refine(message.now)
    if (!('topic' in message) || !message.topic.startsWith(PREFIX)) return
    const mint = message.topic.slice(PREFIX.length)
    const before = this.entry(mint)
    const after = nextEntry(before, message)
    if (after === before) return
    this.#entries.set(mint, after)
    if (after.state === 'priced' && after.price !== undefined && after.version !== before.version) {
      // The first point is when it was first seen, not when it last changed: the chart begins with the page.
      const at = before.price === undefined ? this.#clock.now() : after.changedAt
      this.#points.set(mint, addPoint(this.points(mint), { at, value: after.price.usdPrice }))
    }
    for (const changed of this.#listeners.get(mint) ?? []) changed()
    this.#overviewTimer ??= setTimeout(this.#tellOverview, this.#overview === 0 ? 0 : OVERVIEW)
  }

  #tellOverview = (): void => {
    this.#overviewTimer = undefined
    this.#overview += 1
    for (const changed of this.#overviewListeners) changed()
  }
}
