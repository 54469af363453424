'use client'

import { createContext, useCallback, useContext, useMemo, useSyncExternalStore } from 'react'
import { type Client, createClient, type Status } from './client.ts'
import type { Entry } from './entry.ts'

/** The entry of a topic, for rendering. */
export interface Feed<Value = unknown> extends Entry<Value> {
  /** True if the value is stale or the connection is lost: the last known value is shown. */
  readonly stale: boolean
  readonly status: Status
  /** Milliseconds since the upstream last confirmed the value, by the server's clock; NaN before the first message. */
  age(): number
}

let defaultClient: Client | undefined

/** The client of the components below. Without it they share a client of the page's own origin. */
export const WeirContext = createContext<Client | undefined>(undefined)

/** Returns the client of the surrounding components. */
export function useClient(): Client {
  const given = useContext(WeirContext)
  if (given !== undefined) return given
  defaultClient ??= createClient()
  return defaultClient
}

/** Keeps a topic live while the component is mounted, and renders it again when it changes. */
export function useFeed<Value = unknown>(topic: string): Feed<Value> {
  const client = useClient()
  const status = useStatus()
  const subscribe = useCallback((changed: () => void) => client.subscribe(topic, changed), [client, topic])
  const read = () => client.entry<Value>(topic)
  const entry = useSyncExternalStore(subscribe, read, noEntry)
  return feedOf(client, status, topic, entry)
}

/** The same for many topics: one array, rendered again when any of them changes. */
export function useFeeds<Value = unknown>(topics: readonly string[]): readonly Feed<Value>[] {
  const client = useClient()
  const status = useStatus()
  // The array may be a new one at each render.
  const names = JSON.stringify(topics)
  const { subscribe, read } = useMemo(() => storeOf<Value>(client, JSON.parse(names)), [client, names])
  const entries = useSyncExternalStore(subscribe, read, noEntries)
  return topics.map((topic, index) => feedOf(client, status, topic, entries[index]))
}

/** Returns the state of the client. */
export function useStatus(): Status {
  const client = useClient()
  return useSyncExternalStore(client.watchStatus, client.status, connecting)
}

// For server rendering and hydration. Everything that the client knows is rendered after that.
const CONNECTING: Status = { state: 'connecting', stale: 0 }
const NONE: readonly undefined[] = []
const connecting = () => CONNECTING
const noEntry = () => undefined
const noEntries = () => NONE

/** The entries of many topics: the same array until one of them changes. */
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
