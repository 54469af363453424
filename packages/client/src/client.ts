import { judge, type Line, newLine, type Verdict } from '@weir/protocol'
import { forgetPages, nameOf, openCallerChannel } from './caller.ts'
import {
  type Connection,
  type ConnectionEvents,
  type ConnectionParts,
  type ConnectionState,
  createConnection,
  IDLE,
  type Transport,
} from './connection.ts'
import {
  type Entry,
  follows,
  gapBefore,
  nextEntry,
  order,
  type TopicMessage,
  versionBefore,
  versionOf,
} from './entry.ts'
import { type IncomingMessage, partTopics, within } from './link.ts'
import { type Ports, worldPorts } from './ports.ts'
import { jsonIn, problemIn } from './problem-error.ts'
import { createServerClock } from './server-clock.ts'
import { askValues } from './values.ts'

/** All have defaults. */
export interface ClientOptions {
  /** Where the server is; the page's own origin. Node needs it. */
  readonly url?: string
  /** Where WebSockets go, where that is another server: `wss://example.com`. It lets in pages that its app's `cors` names. */
  readonly socketUrl?: string
  /** Transports to use, the best first: `['sse', 'ws', 'poll']`. */
  readonly transports?: readonly Transport[]
  /** How long a topic that nobody hears any more stays live, in milliseconds: 5,000. Who comes back has its value at once. */
  readonly linger?: number
  /** How long a transport may take for its first word, in milliseconds: 5,000. */
  readonly connectTimeout?: number
  /** How often the values of more than one topic are asked for where only polling works, in milliseconds: 2,000. */
  readonly interval?: number
  /** Where last values are kept over visits: `keepValues()` of `@weir/client/offline`; nowhere. It gets the server's address. */
  readonly persist?: (url: string) => Memory
  /** One connection for many clients: `shareTabs()` of `@weir/client/tabs`. */
  readonly share?: (
    options: ClientOptions,
    connect: (ears: ConnectionEvents) => Connection,
  ) => ((ears: SharedEvents) => Connection) | undefined
  /**
   * Gets another credential: called when the server ends a connection with `credential_expired`, or no longer knows its caller. The client
   * connects again when it has resolved.
   */
  readonly renew?: () => unknown
  /** What it needs of the world; for tests, and for a `fetch` with headers of one's own. */
  readonly ports?: Partial<Ports>
}

/** The last values of topics, of this visit and earlier ones. */
export interface Memory {
  get(topic: string): Entry | undefined
  set(entry: Entry): void
  /** Drops all. */
  clear(): void
}

/** What a connection that is shared tells: what came, or what somebody else made of it. */
export interface SharedEvents extends ConnectionEvents {
  take(entry: Entry): void
  clock(serverNow: number): void
}

/** How the client is doing. Moments are by this machine's clock. */
export interface Status extends Omit<ConnectionState, 'phase'> {
  /** `stale`: live, and some values can't be confirmed, can't be had or are refused to this caller: `problem` says why. `offline`: the connection was lost; it comes back by itself. */
  readonly state: 'idle' | 'connecting' | 'live' | 'stale' | 'offline' | 'closed'
  /** When a topic was last taken from a server whose epochs went back: see `startedOver` of an entry. */
  readonly startedOver?: number
  /** How many of the topics that are subscribed to are stale, refused to this caller, or fail and never had a value. */
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
  /**
   * To be called when the caller has signed in, once requests carry the new credential. All that was private to the caller before is gone
   * when it resolves: from this client, from storage, from the service worker of `keepPage()` and from other tabs. Live topics are asked
   * for again, as the new caller; what was under way to the old one is dropped.
   */
  signIn(): Promise<void>
  /** The same when the caller has signed out, once requests carry no credential any more. */
  signOut(): Promise<void>
  /** Ends it for good. */
  close(): void
}

interface Topic {
  entry: Entry
  /** Of a log: what came of late, for those who join. */
  readonly past: Entry[]
  readonly listeners: Set<(entry: Entry) => void>
  /** Of which line of epochs it is, and which were left. */
  line: Line
  /** When it was last said to be what it is here, by this machine's clock. */
  heardAt: number
  /** Whether the server was asked for its one address. */
  resolved: boolean
  stopForgetting: () => void
}

/** Events of a log that are kept for those who join later: what servers keep unless told. */
const MOST_PAST = 1000
/** Refusals of a caller, and not of a topic: the credential is missing or has expired, or it asks too often. */
const CALLER_STATUS = [401, 403, 429]
/** A topic that was not confirmed for so many heartbeats is asked for anew. */
const SILENT = 3
/** What a server's heartbeat is until it has said so, in milliseconds. */
const HEARTBEAT = 10_000

/** A client of one server. It connects when something is subscribed to, and no earlier. */
export function createClient(options: ClientOptions = {}): Client {
  const ports = { ...worldPorts(), ...options.ports }
  const { linger = 5000 } = options
  const url = options.url ?? pageOrigin()
  const memory = options.persist?.(nameOf(url))
  const parts: ConnectionParts = {
    transports: ['sse', 'ws', 'poll'],
    connectTimeout: 5000,
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
  /** The caller whom the server serves, as it says: undefined where it knows none. */
  let caller: string | undefined
  let callerKnown = false
  let startedOver: number | undefined
  /** Callers that other pages are served as, and this one is not, though it looked. */
  const others = new Set<string>()
  /** Counts callers: an answer that one of them asked for is not for the next. */
  let era = 0
  let telling = false
  let closed = false

  const ears: SharedEvents = {
    onMessage,
    take,
    clock: hearClock,
    since: (name) => topics.get(name)?.entry.version,
    onTopicRenamed(name, address) {
      if (name !== address) aliases.set(address, (aliases.get(address) ?? new Set([address])).add(name))
    },
    onState(state) {
      connected = state
      tellStatus()
      if (!share) stopSweep ??= ports.after(HEARTBEAT, sweep)
    },
  }
  const share = options.share?.(options, (ears) => createConnection(parts, ears))
  const connection = share ? share(ears) : createConnection(parts, ears)
  const pages = openCallerChannel(url, (news) => {
    if ('changed' in news) return void changeCaller()
    if (!callerKnown || news.caller === (caller ?? '') || others.has(news.caller)) return
    // The credentials of this browser may have changed: nothing private is shown until the server says whom it serves.
    others.add(news.caller)
    forget()
    connection.renew()
  })

  function onMessage(message: IncomingMessage, lineage?: string): void {
    if (message.type === 'hello') meet(message.caller)
    if ('now' in message) hearClock(message.now)
    if (!('topic' in message)) return
    const said = ('lineage' in message ? message.lineage : undefined) ?? lineage
    let known = false
    for (const name of aliases.get(message.topic) ?? [message.topic]) {
      const topic = topics.get(name)
      if (!topic) continue
      known = true
      const { entry, line } = topic
      const left = { version: entry.version, lineage: line.lineage }
      const verdict = verdictOn(topic, message, said)
      if (verdict === 'refuse') {
        // The server has something else: what is here is not what it serves now.
        const log = !('version' in message) && { log: true as const }
        if (line.refusedAt !== undefined && !entry.stale) adopt(topic, { ...entry, ...log, stale: true })
        continue
      }
      const restart = verdict === 'restart'
      const next = nextEntry(restart ? { ...entry, version: undefined } : entry, message, clock.now())
      if (next) {
        topic.heardAt = ports.now()
        const whose = said === undefined || !next.version ? undefined : { lineage: said }
        if (restart) startOver(topic, { ...next, ...whose, startedOver: left })
        else put(topic, { ...next, ...whose })
      } else if (message.type === 'patch') connection.resync(name)
    }
    if (!known) resolve()
  }

  /** What to do with a message, by its version and whose version that is. */
  function verdictOn({ entry, line }: Topic, message: TopicMessage, lineage: string | undefined): Verdict {
    const version = versionOf(message)
    if (version === undefined) return 'take'
    const newer = order(version, entry.version)
    const whole = message.type !== 'heartbeat' && message.type !== 'patch'
    // It names a newer version that is not here yet.
    if (!whole && newer > 0 && !('from' in message && message.from === entry.version))
      return lineage !== undefined && line.abandoned.has(lineage) ? 'refuse' : 'take'
    return judge(line, lineage, newer, ports.now(), whole)
  }

  /** The epochs of the server went back: what it has now takes the place of what is known. Of a log, that is said as a gap first. */
  function startOver(topic: Topic, next: Entry): void {
    startedOver = ports.now()
    const { startedOver: left } = next
    if (next.log && !next.gap) {
      const to = versionBefore(next.version)
      adopt(topic, { ...next, value: undefined, version: to, gap: { from: left?.version ?? to, to } })
      adopt(topic, { ...next, startedOver: undefined })
    } else adopt(topic, next)
    tellSoon()
  }

  /** A server whose clock was ahead and is right again: no moment is later than now, so no age is below zero. */
  function hearClock(serverNow: number): void {
    const before = clock.now()
    clock.hear(serverNow)
    const now = clock.now()
    if (now >= before) return
    for (const topic of topics.values()) {
      const { changedAt, checkedAt } = topic.entry
      if (checkedAt <= now) continue
      topic.entry = { ...topic.entry, changedAt: Math.min(changedAt, now), checkedAt: now }
      if (!topic.entry.log) for (const hear of topic.listeners) tell(hear, topic.entry)
    }
  }

  /** The server says whom it serves. */
  function meet(next: string | undefined): void {
    if (callerKnown && next === caller) return
    const lapsed = callerKnown && !next
    if (callerKnown) forget()
    callerKnown = true
    caller = next
    others.clear()
    pages?.tell({ caller: next ?? '' })
    if (lapsed && options.renew)
      Promise.resolve()
        .then(options.renew)
        .then(connection.renew, () => {})
  }

  /** Drops what is not everybody's. */
  function forget(): void {
    era += 1
    for (const topic of topics.values()) {
      const { entry, past, listeners } = topic
      if (!entry.private && !entry.problem) continue
      topic.entry = entry.private ? nothing(entry.topic) : { ...entry, problem: undefined }
      if (entry.private) topic.line = newLine()
      if (entry.private) past.length = 0
      for (const hear of listeners) tell(hear, topic.entry)
    }
    tellSoon()
  }

  function changeCaller(): void {
    caller = undefined
    callerKnown = false
    others.clear()
    forget()
    memory?.clear()
    connection.renew()
  }

  async function changeCallerEverywhere(): Promise<void> {
    changeCaller()
    pages?.tell({ changed: true })
    await forgetPages(ports)
  }

  /** What another tab made of what came. */
  function take(next: Entry): void {
    const topic = topics.get(next.topic)
    if (!topic) return
    const { line, entry } = topic
    const { startedOver: left } = next
    if (left && left.lineage === line.lineage && left.lineage !== next.lineage) {
      // It waited for all tabs.
      if (left.lineage !== undefined) line.abandoned.add(left.lineage)
      line.lineage = next.lineage
      startedOver = ports.now()
      adopt(topic, next)
      return
    }
    const verdict = next.version ? judge(line, next.lineage, order(next.version, entry.version), ports.now()) : 'take'
    if (verdict === 'take') put(topic, next)
    else if (verdict === 'restart')
      startOver(topic, { ...next, startedOver: { version: entry.version, lineage: entry.lineage } })
  }

  /** Of a log, what is missing in between is said first. */
  function put(topic: Topic, next: Entry): void {
    const gap = gapBefore(topic.entry, next)
    if (gap) adopt(topic, gap)
    if (follows(topic.entry, next)) adopt(topic, next)
  }

  function adopt(topic: Topic, next: Entry): void {
    const before = topic.entry
    topic.entry = next
    if (before.stale !== next.stale || before.problem !== next.problem) tellSoon()
    if (next.log) {
      // Of a log only what came is heard.
      if (next.version === before.version) return
      topic.past.push(next)
      if (topic.past.length > MOST_PAST) topic.past.shift()
    } else if (next.version && !next.private) memory?.set(next)
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
    const { phase, ...rest } = connected
    let { problem } = rest
    for (const { entry, listeners } of topics.values()) {
      if (listeners.size === 0) continue
      const { problem: why } = entry
      // Nothing is shown of it, or nothing that this caller may have.
      const refused = why && (!entry.changedAt || CALLER_STATUS.includes(why.status))
      if (entry.stale || refused) stale += 1
      problem ??= why
    }
    const state = phase === 'lost' ? 'offline' : phase === 'live' && stale > 0 ? 'stale' : phase
    status = { ...rest, ...(problem && { problem }), ...(startedOver && { startedOver }), state, stale }
    if (closed) status = { state: 'closed', stale: 0 }
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
      if (phase === 'live') connection.resync(name)
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
        ({ messages, lineage }) => {
          for (const message of messages) {
            const { address, topic } = message
            ears.onTopicRenamed(topic, address)
            onMessage(message, lineage)
          }
        },
        // What could not be asked now is asked for again when it was silent for long.
        () => {},
      )
  }

  /** How old an answer is, in milliseconds (RFC 9111, 4.2.3). A cache that does not say `Age` still hands on the `Date`, in whole seconds. */
  function ageOf(headers: Headers): number {
    const date = Date.parse(headers.get('date') ?? '')
    const apparent = clock.known && date ? clock.now() - date - 1000 : 0
    return Math.max(0, Number(headers.get('age')) * 1000 || 0, apparent)
  }

  function check(): void {
    if (closed) throw new Error('The client is closed')
    if (!url)
      throw new Error('createClient: url: expected the address of the server: there is no page that it could be of')
  }

  function want(): void {
    connection.want([...topics.keys()])
  }

  // Waking up or coming back on the network is worth a try at once, not at the end of a long pause.
  const { retry } = connection
  globalThis.addEventListener?.('online', retry)
  globalThis.document?.addEventListener('visibilitychange', retry)
  // A page that comes out of the back/forward cache may have been left by another caller.
  const restored = ({ persisted }: PageTransitionEvent) => persisted && changeCaller()
  globalThis.addEventListener?.('pageshow', restored)

  return {
    async get<Value>(name: string) {
      check()
      const asking = era
      const topic = topics.get(name)
      const had = (topic?.entry ?? memory?.get(name)) as Entry<Value> | undefined
      const known = had?.version && !had.log ? had : undefined
      if (known && topic && connected.phase === 'live' && !known.stale) return known
      const answer = await ports.fetch(`${url}${within(name, 'as=json')}`, { cache: 'no-store' }).catch((thrown) => {
        if (!known) throw thrown
      })
      if (era !== asking) throw new Error('The caller changed while the answer was under way')
      if (!answer) return { ...known, stale: true } as Entry<Value>
      if (!answer.ok) throw await problemIn(answer)
      const said = (field: string) => answer.headers.get(field) ?? ''
      const version = said('weir-version')
      const lineage = said('weir-lineage') || undefined
      // What is kept of another visit may be of a server that was rolled back since.
      const left = !topic && known?.lineage !== lineage
      if (known && !left && order(version, known.version) < 0) return known
      const at = clock.now() - ageOf(answer.headers)
      const value = await jsonIn<Value>(answer)
      if (era !== asking) throw new Error('The caller changed while the answer was under way')
      return { topic: name, version, value, changedAt: at, checkedAt: at, stale: said('weir-stale') === '?1', lineage }
    },

    subscribe<Value>(name: string, given: (entry: Entry<Value>) => void, { since }: { readonly since?: string } = {}) {
      if (closed) return () => {}
      check()
      // A function of its own for each call: one may subscribe with the same one twice.
      const hear = (entry: Entry) => given(entry as Entry<Value>)
      let topic = topics.get(name)
      if (!topic) {
        const last = since ? undefined : memory?.get(name)
        topic = {
          entry: { ...nothing(name, since), ...last, stale: !!last },
          past: [],
          listeners: new Set(),
          line: newLine(last?.lineage),
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
        joined.stopForgetting = ports.after(linger, () => {
          topics.delete(name)
          want()
        })
      }
    },

    async publish(name, event) {
      check()
      const position = connection.publish?.(name, event)
      if (position) return position
      const answer = await ports.fetch(`${url}${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
      })
      return (await jsonIn<{ position: string }>(answer)).position
    },

    entry: <Value>(name: string) => topics.get(name)?.entry as Entry<Value> | undefined,
    status: () => status,
    watchStatus(changed) {
      watchers.add(changed)
      return () => watchers.delete(changed)
    },
    now: clock.now,
    retry,
    signIn: changeCallerEverywhere,
    signOut: changeCallerEverywhere,
    close() {
      closed = true
      pages?.close()
      globalThis.removeEventListener?.('pageshow', restored)
      globalThis.removeEventListener?.('online', retry)
      globalThis.document?.removeEventListener('visibilitychange', retry)
      stopSweep?.()
      for (const topic of topics.values()) topic.stopForgetting()
      topics.clear()
      connection.close()
      tellStatus()
    },
  }
}

/** Where the server of a page is, unless it is said; empty where there is no page, as in Node. */
function pageOrigin(): string {
  const { origin = '' } = globalThis.location ?? {}
  return origin === 'null' ? '' : origin
}

/** What is known of a topic of which nothing came. */
function nothing(topic: string, version?: string): Entry {
  return { topic, version, value: undefined, changedAt: 0, checkedAt: 0, stale: false }
}
