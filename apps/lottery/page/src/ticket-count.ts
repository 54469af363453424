import type { Client, Entry } from '@weir/client'
import { formatVersion, type LogPage, parseVersion, type Version } from '@weir/protocol'
import type { HistoryEvent } from './history-lines.ts'
import { askHistory, type HistoryStore } from './history-store.ts'

/** A wallet's tickets in this round. */
export interface Tickets {
  readonly count: number
  /** False: it may have more, in what the history does not have any more or is too long to be read here. */
  readonly whole: boolean
  /** False while the history is being read. */
  readonly known: boolean
}

/** Events of one answer, the most that a server gives, and answers that one count takes: some megabytes. */
const PAGE = 1000
const MOST_PAGES = 10

/** Counts a wallet's tickets: back from where the history stands to the last draw, and from there on as they come. */
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
    this.#stop = history.subscribe((news) => this.#hear(news))
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

  #hear(news: Entry<HistoryEvent> | undefined): void {
    if (news === undefined) this.#read()
    else if (news.gap !== undefined) {
      const [from, to] = [parseVersion(news.gap.from), parseVersion(news.gap.to)]
      if (from?.epoch === to?.epoch) this.#become({ whole: false })
      else this.#begin(to?.sequence === 0)
    } else if (news.value !== undefined) {
      if (news.value.draw !== undefined) this.#begin(true)
      const count = ticketsIn(news.value, this.#wallet)
      if (count > 0) this.#become({ count: this.#tickets.count + count })
    }
  }

  /** A round whose entries are all yet to be heard, or of which nobody knows what it had before. */
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
      // Nobody waits for it any more.
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

/** Tickets of a wallet between the last draw and `until`, that one included. */
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
      // What is newer is heard live.
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
