import {
  type Connection,
  type ConnectionEars,
  type ConnectionParts,
  type ConnectionState,
  createConnection,
  IDLE,
  type Transport,
} from './connection.ts'
import { type Entry, follows, gapBefore, nextEntry, order } from './entry.ts'
import { type Heard, partTopics, within } from './link.ts'
import { type Ports, worldPorts } from './ports.ts'
import { problemIn } from './problem-error.ts'
import { createServerClock } from './server-clock.ts'
import { askValues } from './values.ts'

/** All have defaults. */
export interface ClientOptions {
  /** Where the server is; the page's own origin. Node needs it. */
  readonly url?: string
  /** Where WebSockets go, where that is another server: `wss://example.com`. It lets in pages that its app's `origins` names. */
  readonly socketUrl?: string
  /** Transports to use, the best first: `['sse', 'ws', 'poll']`. */
  readonly transports?: readonly Transport[]
  /** How long a topic that nobody hears any more stays live, in milliseconds: 5,000. Who comes back has its value at once. */
  readonly keep?: number
  /** How long a transport may take for its first word, in milliseconds: 5,000. */
  readonly patience?: number
  /** How often the values of more than one topic are asked for where only polling works, in milliseconds: 2,000. */
  readonly interval?: number
  /** Where last values are kept over visits: `keepValues()` of `@weir/client/offline`; nowhere. */
  readonly memory?: Memory
  /** One connection for many clients: `shareTabs()` of `@weir/client/tabs`. */
  readonly share?: (options: ClientOptions) => ((ears: SharedEars) => Connection) | undefined
  /** What it needs of the world; for tests, and for a `fetch` with headers of one's own. */
  readonly ports?: Partial<Ports>
}

/** The last values of topics, of this visit and earlier ones. */
export interface Memory {
  get(topic: string): Entry | undefined
  set(entry: Entry): void
}

/** What a connection that is shared tells: what came, or what somebody else made of it. */
export interface SharedEars extends ConnectionEars {
  take(entry: Entry): void
  clock(serverNow: number): void
}

/** How the client is doing. Moments are by this machine's clock. */
export interface Status extends Omit<ConnectionState, 'phase'> {
  /** `stale`: live, and some values that are heard can't be confirmed. `offline`: the connection was lost; it comes back by itself. */
  readonly state: 'idle' | 'connecting' | 'live' | 'stale' | 'offline'
  /** How many of the topics that are heard are stale. */
  readonly stale: number
}

export interface Client {
  /**
   * The value now: what is live here, else asked for. Of a log, its events as `LogPage`. Offline, the last one, marked stale.
   * Throws a ProblemError, with the code `absent` where there is no value, or what `fetch` throws.
   */
  get<Value = unknown>(topic: string): Promise<Entry<Value>>
  /**
   * Keeps a topic live until the returned function is called. What is known is heard at once, then every change: of a feed the latest, with
   * versions that only rise; of a log each event once, in order, those that are kept first. `since`: only what is newer.
   */
  subscribe<Value = unknown>(
    topic: string,
    hear: (entry: Entry<Value>) => void,
    options?: { readonly since?: string },
  ): () => void
  /** Puts an event into a log that takes them; the position it got. Throws a ProblemError. It is never sent twice. */
  publish(topic: string, event: unknown): Promise<string>
  /** What is known now of a topic that is heard, or was a moment ago; the same object until it changes. */
  entry<Value = unknown>(topic: string): Entry<Value> | undefined
  /** The same object until it changes. */
  status(): Status
  /** Hears of each change of the status, until the returned function is called. */
  watchStatus(changed: () => void): () => void
  /** The server's time, milliseconds since 1970: ages are counted by it. */
  now(): number
  /** Tries at once what it was going to try later. */
  retry(): void
  /** Ends it for good. */
  close(): void
}

interface Topic {
  entry: Entry
  /** Of a log: what came of late, for those who join. */
  readonly past: Entry[]
  readonly listeners: Set<(entry: Entry) => void>
  /** When it was last said to be what it is here, by this machine's clock. */
  heardAt: number
  /** Whether the server was asked for its one address. */
  resolved: boolean
  stopForgetting: () => void
}

/** Events of a log that are kept for those who join later: what servers keep unless told. */
const MOST_PAST = 1000
/** A topic that was not confirmed for so many heartbeats is asked for anew. */
const SILENT = 3
/** What a server's heartbeat is until it has said so, in milliseconds. */
const HEARTBEAT = 10_000

/** A client of one server. It connects when something is subscribed to, and no earlier. */
export function createClient(options: ClientOptions = {}): Client {
  const ports = { ...worldPorts(), ...options.ports }
  const { url = globalThis.location?.origin, keep = 5000, memory } = options
  const share = options.share?.(options)
  const parts: ConnectionParts = {
    transports: ['sse', 'ws', 'poll'],
    patience: 5000,
    interval: 2000,
    ...options,
    url,
    ports,
  }
  const clock = createServerClock(ports.now)
  const topics = new Map<string, Topic>()
  /** Other names that topics were asked for by, under what the server calls them. */
  const aliases = new Map<string, Set<string>>()
  const watchers = new Set<() => void>()
  let connected = IDLE
  let status: Status = { state: 'idle', stale: 0 }
  let stopSweep: (() => void) | undefined
  let telling = false

  const ears: SharedEars = {
    heard,
    take,
    clock: clock.hear,
    since: (name) => topics.get(name)?.entry.version,
    state(state) {
      connected = state
      tellStatus()
      if (!share) stopSweep ??= ports.after(HEARTBEAT, sweep)
    },
  }
  const connection = share ? share(ears) : createConnection(parts, ears)

  function heard(message: Heard): void {
    if ('now' in message) clock.hear(message.now)
    if (!('topic' in message)) return
    let known = false
    for (const name of aliases.get(message.topic) ?? [message.topic]) {
      const topic = topics.get(name)
      if (!topic) continue
      known = true
      const next = nextEntry(topic.entry, message)
      if (next) {
        topic.heardAt = ports.now()
        take(next)
      } else if (message.type === 'patch') connection.again(name)
    }
    if (!known) resolve()
  }

  /** Of a log, what is missing in between is said first. */
  function take(next: Entry): void {
    const topic = topics.get(next.topic)
    if (!topic) return
    const gap = gapBefore(topic.entry, next)
    if (gap) adopt(topic, gap)
    if (follows(topic.entry, next)) adopt(topic, next)
  }

  function adopt(topic: Topic, next: Entry): void {
    const before = topic.entry
    topic.entry = next
    if (before.stale !== next.stale) tellSoon()
    if (next.log) {
      // Of a log only what came is heard.
      if (next.version === before.version) return
      topic.past.push(next)
      if (topic.past.length > MOST_PAST) topic.past.shift()
    } else if (next.version) memory?.set(next)
    for (const hear of topic.listeners) tell(hear, next)
  }

  function tell(hear: (entry: Entry) => void, entry: Entry): void {
    try {
      hear(entry)
    } catch (thrown) {
      // The listener's own fault: the world hears of it, and no connection ends.
      ports.after(0, () => {
        throw thrown
      })
    }
  }

  function tellSoon(): void {
    if (telling) return
    telling = true
    queueMicrotask(tellStatus)
  }

  function tellStatus(): void {
    telling = false
    let stale = 0
    for (const { entry, listeners } of topics.values()) if (entry.stale && listeners.size > 0) stale += 1
    const { phase, ...rest } = connected
    const state = phase === 'lost' ? 'offline' : phase === 'live' && stale > 0 ? 'stale' : phase
    status = { ...rest, state, stale }
    for (const changed of watchers) changed()
  }

  /** What was not confirmed for long counts as stale, and is asked for anew: it was lost on its way, though the connection lives. */
  function sweep(): void {
    const { heartbeat = HEARTBEAT, phase } = connected
    stopSweep = phase === 'idle' ? undefined : ports.after(heartbeat, sweep)
    const now = ports.now()
    for (const [name, topic] of topics) {
      const { entry } = topic
      if (now - topic.heardAt <= SILENT * heartbeat || entry.problem?.retry === false) continue
      topic.heardAt = now
      topic.resolved = false
      if (entry.version && !entry.stale) adopt(topic, { ...entry, stale: true })
      if (phase === 'live') connection.again(name)
    }
  }

  /** Something came that nobody asked for by that name: what else it may be called, the server knows. */
  function resolve(): void {
    const asked: string[] = []
    for (const [name, topic] of topics) {
      if (topic.entry.version || topic.entry.problem || topic.resolved) continue
      topic.resolved = true
      asked.push(name)
    }
    for (const part of partTopics(asked))
      askValues(parts, part).then(
        ({ messages }) => {
          for (const message of messages) {
            const { address, topic } = message
            aliases.set(address, (aliases.get(address) ?? new Set([address])).add(topic))
            heard(message)
          }
        },
        // What could not be asked now is asked for again when it was silent for long.
        () => {},
      )
  }

  function want(): void {
    connection.want([...topics.keys()])
  }

  // Waking up or coming back on the network is worth a try at once, not at the end of a long pause.
  const { retry } = connection
  globalThis.addEventListener?.('online', retry)
  globalThis.document?.addEventListener('visibilitychange', retry)

  return {
    async get<Value>(name: string) {
      const topic = topics.get(name)
      const had = (topic?.entry ?? memory?.get(name)) as Entry<Value> | undefined
      const known = had?.version && !had.log ? had : undefined
      if (known && topic && connected.phase === 'live' && !known.stale) return known
      const answer = await ports.fetch(`${url}${within(name, 'as=json')}`).catch((thrown) => {
        if (!known) throw thrown
      })
      if (!answer) return { ...known, stale: true } as Entry<Value>
      if (!answer.ok) throw await problemIn(answer)
      const said = (field: string) => answer.headers.get(field) ?? ''
      const version = said('weir-version')
      if (known && order(version, known.version) < 0) return known
      const at = clock.now() - Number(said('age')) * 1000
      const value: Value = await answer.json()
      return { topic: name, version, value, changedAt: at, checkedAt: at, stale: said('weir-stale') === '?1' }
    },

    subscribe<Value>(name: string, given: (entry: Entry<Value>) => void, { since }: { readonly since?: string } = {}) {
      // A function of its own for each call: one may subscribe with the same one twice.
      const hear = (entry: Entry) => given(entry as Entry<Value>)
      let topic = topics.get(name)
      if (!topic) {
        const nothing = { topic: name, version: since, value: undefined, changedAt: 0, checkedAt: 0 }
        const last = since ? undefined : memory?.get(name)
        topic = {
          entry: { ...nothing, ...last, stale: !!last },
          past: [],
          listeners: new Set(),
          heardAt: ports.now(),
          resolved: false,
          stopForgetting() {},
        }
        topics.set(name, topic)
        want()
      }
      const { entry, past, listeners } = topic
      topic.stopForgetting()
      listeners.add(hear)
      if (entry.stale) tellSoon()
      for (const each of entry.log ? past : [entry])
        if (each.version && !(order(each.version, since) <= 0)) tell(hear, each)
      const joined = topic
      return () => {
        if (!listeners.delete(hear) || listeners.size > 0) return
        if (joined.entry.stale) tellSoon()
        joined.stopForgetting = ports.after(keep, () => {
          topics.delete(name)
          want()
        })
      }
    },

    async publish(name, event) {
      const { publish } = connection
      if (publish) return publish(name, event)
      const answer = await ports.fetch(`${url}${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
      })
      if (!answer.ok) throw await problemIn(answer)
      return (await answer.json()).position
    },

    entry: <Value>(name: string) => topics.get(name)?.entry as Entry<Value> | undefined,
    status: () => status,
    watchStatus(changed) {
      watchers.add(changed)
      return () => watchers.delete(changed)
    },
    now: clock.now,
    retry,
    close() {
      globalThis.removeEventListener?.('online', retry)
      globalThis.document?.removeEventListener('visibilitychange', retry)
      stopSweep?.()
      for (const topic of topics.values()) topic.stopForgetting()
      topics.clear()
      connection.close()
    },
  }
}
