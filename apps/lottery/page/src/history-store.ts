import type { Client, Entry } from '@weir/client'
import { formatVersion, type LogPage, parseVersion, type Version } from '@weir/protocol'
import { addUpdate, HISTORY, type HistoryEvent, type HistoryLine, MOST_LINES } from './history-lines.ts'

/** Pause before a failed part of the history is loaded again, in milliseconds. */
const AGAIN = 5000

type Asked = Pick<Client, 'get' | 'subscribe'>

/** Loads a part of the history, with retries. @throws the reason of `signal` */
export async function askHistory(client: Asked, query: string, signal?: AbortSignal): Promise<LogPage> {
  for (;;) {
    const { value } = await client.get<LogPage>(`${HISTORY}?${query}`).catch(() => ({ value: undefined }))
    signal?.throwIfAborted()
    if (value !== undefined) return value
    await new Promise((resolve) => setTimeout(resolve, AGAIN))
    signal?.throwIfAborted()
  }
}

/** The live end of the history. It starts with the lines of one list, since the whole history may have a hundred thousand transactions. */
export class HistoryStore {
  /** Undefined until the first response. */
  #lines: readonly HistoryLine[] | undefined
  #position: Version | undefined
  readonly #listeners = new Set<(update: Entry<HistoryEvent> | undefined) => void>()

  constructor(client: Asked) {
    void askHistory(client, 'most=1').then(({ oldest, newest }) => {
      const [first, last] = [parseVersion(oldest), parseVersion(newest)]
      if (first === undefined || last === undefined) return
      const since = { ...last, sequence: Math.max(last.sequence - MOST_LINES, first.sequence - 1) }
      this.#position = since
      this.#lines = []
      this.#notify(undefined)
      client.subscribe<HistoryEvent>(HISTORY, (update) => this.#receive(update), { since: formatVersion(since) })
    })
  }

  lines = (): readonly HistoryLine[] | undefined => this.#lines

  /** The last received position; undefined before the start. */
  position = (): Version | undefined => this.#position

  /** Calls the listener with each update, and without one at the start. */
  subscribe = (listener: (update: Entry<HistoryEvent> | undefined) => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #receive(update: Entry<HistoryEvent>): void {
    this.#position = parseVersion(update.version ?? '') ?? this.#position
    this.#lines = addUpdate(this.#lines ?? [], update)
    this.#notify(update)
  }

  #notify(update: Entry<HistoryEvent> | undefined): void {
    for (const listener of this.#listeners) listener(update)
  }
}
