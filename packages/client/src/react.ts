'use client'

import { createContext, useCallback, useContext, useMemo, useSyncExternalStore } from 'react'
import { type Client, createClient, type Status } from './client.ts'
import type { Entry } from './entry.ts'

/** What is known of a topic, for drawing it. */
export interface Feed<Value = unknown> extends Entry<Value> {
  /** Stale, or the connection is lost: what is shown is the last that there was. */
  readonly stale: boolean
  readonly status: Status
  /** Milliseconds since the upstream last confirmed the value, by the server's clock; NaN while nothing came. */
  age(): number
}

let own: Client | undefined

/** The client of the components below; without one they share a client of the page's own origin. */
export const WeirContext = createContext<Client | undefined>(undefined)

/** The client of the components around. */
export function useClient(): Client {
  const given = useContext(WeirContext)
  if (given !== undefined) return given
  own ??= createClient()
  return own
}

/** Keeps a topic live while the component is there, and draws it again when it changes. */
export function useFeed<Value = unknown>(topic: string): Feed<Value> {
  const client = useClient()
  const status = useStatus()
  const subscribe = useCallback((changed: () => void) => client.subscribe(topic, changed), [client, topic])
  const read = () => client.entry<Value>(topic)
  const entry = useSyncExternalStore(subscribe, read, nothingYet)
  return feedOf(client, status, topic, entry)
}

/** The same of many topics: one array, drawn again when any of them changes. */
export function useFeeds<Value = unknown>(topics: readonly string[]): readonly Feed<Value>[] {
  const client = useClient()
  const status = useStatus()
  // The list itself may be a new one each time it is drawn.
  const names = JSON.stringify(topics)
  const { subscribe, read } = useMemo(() => storeOf<Value>(client, JSON.parse(names)), [client, names])
  const entries = useSyncExternalStore(subscribe, read, nothingOfAny)
  return topics.map((topic, index) => feedOf(client, status, topic, entries[index]))
}

/** How the client is doing. */
export function useStatus(): Status {
  const client = useClient()
  return useSyncExternalStore(client.watchStatus, client.status, connecting)
}

// What a server draws, and a page that takes over what a server drew: whatever the client knows by then is drawn after that.
const CONNECTING: Status = { state: 'connecting', stale: 0 }
const NONE: readonly undefined[] = []
const connecting = () => CONNECTING
const nothingYet = () => undefined
const nothingOfAny = () => NONE

/** The entries of many topics: the same array until one of them is another. */
function storeOf<Value>(client: Client, topics: readonly string[]) {
  let entries: readonly (Entry<Value> | undefined)[] = []
  return {
    subscribe(changed: () => void) {
      const stops = topics.map((topic) => client.subscribe(topic, changed))
      return () => {
        for (const stop of stops) stop()
      }
    },
    read() {
      const now = topics.map((topic) => client.entry<Value>(topic))
      if (now.length !== entries.length || now.some((entry, index) => entry !== entries[index])) entries = now
      return entries
    },
  }
}

function feedOf<Value>(client: Client, status: Status, topic: string, entry: Entry<Value> | undefined): Feed<Value> {
  const known = entry ?? { topic, version: undefined, value: undefined, changedAt: 0, checkedAt: 0, stale: false }
  const age = () => (known.checkedAt > 0 ? Math.max(0, client.now() - known.checkedAt) : Number.NaN)
  const lost = status.state === 'offline' || status.state === 'closed'
  return { ...known, stale: known.stale || lost, status, age }
}
