import type { Client, Entry } from '@weir/client'
import { formatVersion, type LogPage, parseVersion, type Version } from '@weir/protocol'
import { addNews, HISTORY, type HistoryEvent, type HistoryLine, MOST_LINES } from './history-lines.ts'

/** How long until a part of the history that could not be had is asked for again, in milliseconds. */
const AGAIN = 5000

type Asked = Pick<Client, 'get' | 'subscribe'>

/** A part of the history; asked for until it comes. @throws what `signal` was aborted with */
export async function askHistory(client: Asked, query: string, signal?: AbortSignal): Promise<LogPage> {
  for (;;) {
    const { value } = await client.get<LogPage>(`${HISTORY}?${query}`).catch(() => ({ value: undefined }))
    signal?.throwIfAborted()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, AGAIN))
    signal?.throwIfAborted()
  }
}

/** The newest of the history, live. It begins with what one list shows of it: all of it may be a hundred thousand transactions. */
export class HistoryStore {
  /** Undefined until anything is known. */
  #lines: readonly HistoryLine[] | undefined
  #position: Version | undefined
  readonly #listeners = new Set<(news: Entry<HistoryEvent> | undefined) => void>()

  constructor(client: Asked) {
    void askHistory(client, 'most=1').then(({ oldest, newest }) => {
      const [first, last] = [parseVersion(oldest), parseVersion(newest)]
      if (first === undefined || last === undefined) return
      const since = { ...last, sequence: Math.max(last.sequence - MOST_LINES, first.sequence - 1) }
      this.#position = since
      this.#lines = []
      this.#tell(undefined)
      client.subscribe<HistoryEvent>(HISTORY, (news) => this.#hear(news), { since: formatVersion(since) })
    })
  }

  lines = (): readonly HistoryLine[] | undefined => this.#lines

  /** How far it was heard; undefined before it begins. */
  position = (): Version | undefined => this.#position

  /** Hears of each piece of news, and, without one, that it begins. */
  subscribe = (heard: (news: Entry<HistoryEvent> | undefined) => void): (() => void) => {
    this.#listeners.add(heard)
    return () => this.#listeners.delete(heard)
  }

  #hear(news: Entry<HistoryEvent>): void {
    this.#position = parseVersion(news.version ?? '') ?? this.#position
    this.#lines = addNews(this.#lines ?? [], news)
    this.#tell(news)
  }

  #tell(news: Entry<HistoryEvent> | undefined): void {
    for (const heard of this.#listeners) heard(news)
  }
}
