import type { Client, Entry } from '@weir/client'
import { formatVersion, type LogPage, parseVersion, type Version } from '@weir/protocol'
import type { HistoryEvent } from './history-lines.ts'
import { askHistory, type HistoryStore } from './history-store.ts'

/** A wallet's tickets in this round. */
export interface Tickets {
  readonly count: number
  /** Whether the count is complete. The history may lack older entries, or be too long to read. */
  readonly whole: boolean
  /** Whether the history has been read. */
  readonly known: boolean
}

/** Events per response, which is the server's limit, and responses per count, which are some megabytes. */
const PAGE = 1000
const MOST_PAGES = 10

/** Counts a wallet's tickets: first back to the last draw, then live. */
export class TicketCount {
  readonly #client: Pick<Client, 'get' | 'subscribe'>
  readonly #history: Pick<HistoryStore, 'position' | 'subscribe'>
  readonly #wallet: string
  readonly #listeners = new Set<() => void>()
  readonly #stop: () => void
  #reading: AbortController | undefined
  #tickets: Tickets = { count: 0, whole: false, known: false }

  constructor(
    client: Pick<Client, 'get' | 'subscribe'>,
    history: Pick<HistoryStore, 'position' | 'subscribe'>,
    wallet: string,
  ) {
    this.#client = client
    this.#history = history
    this.#wallet = wallet
    this.#stop = history.subscribe((update) => this.#receive(update))
    this.#read()
  }

  get = (): Tickets => this.#tickets

  subscribe = (changed: () => void): (() => void) => {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  close(): void {
    this.#stop()
    this.#reading?.abort()
  }

  #receive(update: Entry<HistoryEvent> | undefined): void {
    if (update === undefined) this.#read()
    else if (update.gap !== undefined) {
      const [from, to] = [parseVersion(update.gap.from), parseVersion(update.gap.to)]
      if (from?.epoch === to?.epoch) this.#become({ whole: false })
      else this.#begin(to?.sequence === 0)
    } else if (update.value !== undefined) {
      if (update.value.draw !== undefined) this.#begin(true)
      const count = ticketsIn(update.value, this.#wallet)
      if (count > 0) this.#become({ count: this.#tickets.count + count })
    }
  }

  /** Starts a round, which is complete only if no earlier entries can exist. */
  #begin(whole: boolean): void {
    this.#reading?.abort()
    this.#become({ count: 0, whole, known: true })
  }

  #read(): void {
    const until = this.#history.position()
    if (until === undefined) return
    this.#reading = new AbortController()
    countBack(this.#client, this.#wallet, until, this.#reading.signal).then(
      ({ count, whole }) => this.#become({ count: this.#tickets.count + count, whole, known: true }),
      // The count was stopped.
      () => {},
    )
  }

  #become(change: Partial<Tickets>): void {
    this.#tickets = { ...this.#tickets, ...change }
    for (const changed of this.#listeners) changed()
  }
}

function ticketsIn({ entries }: HistoryEvent, wallet: string): number {
  return entries.reduce((sum, entry) => sum + (entry.wallet === wallet ? entry.tickets : 0), 0)
}

/** Counts the tickets of a wallet between the last draw and `until`, inclusive. */
async function countBack(
  client: Pick<Client, 'get' | 'subscribe'>,
  wallet: string,
  until: Version,
  signal: AbortSignal,
): Promise<Pick<Tickets, 'count' | 'whole'>> {
  const { epoch } = until
  let count = 0
  let last = until.sequence
  for (let pages = 0; pages < MOST_PAGES && last > 0; pages += 1) {
    const before = Math.max(0, last - PAGE)
    const query = `after=${formatVersion({ epoch, sequence: before })}&most=${last - before}`
    const { events, gap } = await askHistory(client, query, signal)
    for (const { position, event } of events.toReversed() as readonly HistoryPageEvent[]) {
      const at = parseVersion(position)
      // Newer events arrive live.
      if (at === undefined || at.epoch !== epoch || at.sequence > last) continue
      count += ticketsIn(event, wallet)
      if (event.draw !== undefined) return { count, whole: true }
    }
    if (gap !== undefined) return { count, whole: false }
    last = before
  }
  return { count, whole: last === 0 }
}

type HistoryPageEvent = LogPage['events'][number] & { readonly event: HistoryEvent }
