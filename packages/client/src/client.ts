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
import { type IncomingMessage, splitTopics, withQuery } from './link.ts'
import { defaultPorts, type Ports } from './ports.ts'
import { readJson, readProblem } from './problem-error.ts'
import { createServerClock } from './server-clock.ts'
import { fetchValues } from './values.ts'

/** Options of a client. All have defaults. */
export interface ClientOptions {
  /** The address of the server; by default the page's own origin. Required in Node. */
  readonly url?: string
  /**
   * The address for WebSockets if it is another server: `wss://example.com`. Its app must list the page's origin in
   * `cors`.
   */
  readonly socketUrl?: string
  /** Transports, preferred first. Default: `['sse', 'ws', 'poll']`. */
  readonly transports?: readonly Transport[]
  /**
   * How long a topic stays live after its last listener left, in milliseconds. Default: 5,000. A listener that returns
   * in time has the value at once.
   */
  readonly linger?: number
  /** How long a transport may take to deliver its first message, in milliseconds. Default: 5,000. */
  readonly connectTimeout?: number
  /** Polling interval for several topics if only polling works, in milliseconds. Default: 2,000. */
  readonly interval?: number
  /**
   * Stores the last values between visits: `keepValues()` of `@weir/client/offline`. It receives the server's address.
   * Default: none.
   */
  readonly persist?: (url: string) => Memory
  /** Shares one connection among clients: `shareTabs()` of `@weir/client/tabs`. */
  readonly share?: (
    options: ClientOptions,
    connect: (events: ConnectionEvents) => Connection,
  ) => ((events: SharedEvents) => Connection) | undefined
  /**
   * Renews the credential. Called when the server ends a connection with `credential_expired`, or no longer recognizes
   * the caller. The client reconnects when it resolves.
   */
  readonly renew?: () => unknown
  /** Access to the outside world, for tests and for a `fetch` with headers of your own. */
  readonly ports?: Partial<Ports>
}

/** The last values of topics, from this visit and earlier ones. */
export interface Memory {
  get(topic: string): Entry | undefined
  set(entry: Entry): void
  /** Drops all values. */
  clear(): void
}

/** Events of a shared connection: messages, or entries that another tab made of them. */
export interface SharedEvents extends ConnectionEvents {
  onEntry(entry: Entry): void
  onClock(serverNow: number): void
}

/** The state of the client. Times are by this machine's clock. */
export interface Status extends Omit<ConnectionState, 'phase'> {
  /**
   * `stale`: live, but some values cannot be confirmed, are not available or are refused to this caller; `problem` has
   * the reason. `offline`: the connection was lost and recovers by itself.
   */
  readonly state: 'idle' | 'connecting' | 'live' | 'stale' | 'offline' | 'closed'
  /** When a topic last started over because the epochs of the server went back; see `startedOver` of an entry. */
  readonly startedOver?: number
  /** The number of subscribed topics that are stale, refused to this caller, or that fail and never had a value. */
  readonly stale: number
}

export interface Client {
  /**
   * Returns the current value: the live one, or a fetched one. For a log, its events as `LogPage`. Offline, the last
   * value, marked stale.
   *
   * @throws ProblemError, with the code `absent` if there is no value, or any error of `fetch`
   */
  get<Value = unknown>(topic: string): Promise<Entry<Value>>
  /**
   * Keeps a topic live until the returned function is called. The listener gets the known value at once, then every
   * change. A feed delivers the latest value, with versions that only rise. A log delivers each event once, in order,
   * beginning with the kept ones. `since`: only newer ones.
   */
  subscribe<Value = unknown>(
    topic: string,
    listener: (entry: Entry<Value>) => void,
    options?: { readonly since?: string },
  ): () => void
  /**
   * Appends an event to a log that accepts events, and returns its position. It is never sent twice.
   *
   * @throws ProblemError
   */
  publish(topic: string, event: unknown): Promise<string>
  /** The current entry of a topic that has listeners, or had some a moment ago. The same object until it changes. */
  entry<Value = unknown>(topic: string): Entry<Value> | undefined
  /** The same object until it changes. */
  status(): Status
  /** Calls `changed` after each change of the status, until the returned function is called. */
  watchStatus(changed: () => void): () => void
  /** The server's time in milliseconds since 1970, by which ages are measured. */
  now(): number
  /** Retries at once instead of later. */
  retry(): void
  /**
   * Call this after the caller signed in, once requests carry the new credential. When it resolves, all private data of
   * the previous caller is gone: from this client, from storage, from the service worker of `keepPage()` and from other
   * tabs. Live topics are requested again as the new caller, and answers to the previous one are dropped.
   */
  signIn(): Promise<void>
  /** The same after the caller signed out, once requests carry no credential. */
  signOut(): Promise<void>
  /** Closes the client for good. */
  close(): void
}

interface Topic {
  entry: Entry
  /** Recent events of a log, for new listeners. */
  readonly past: Entry[]
  readonly listeners: Set<(entry: Entry) => void>
  /** Its lineage, and the lineages that it left. */
  line: Line
  /** When the server last sent or confirmed this entry, by this machine's clock. */
  confirmedAt: number
  /** Whether the server was asked for its canonical address. */
  resolved: boolean
  stopForgetting: () => void
}

/** Maximum events of a log kept for new listeners: as many as servers keep by default. */
const MAX_PAST = 1000
/** Statuses that concern the caller, not the topic: the credential is missing, has expired or is over its rate limit. */
const CALLER_STATUS = [401, 403, 429]
/** A topic without confirmation for this many heartbeats is requested again. */
const SILENT = 3
/** The heartbeat interval until the server names one, in milliseconds. */
const HEARTBEAT = 10_000

/** Creates a client of one server. It connects at the first subscription, and not earlier. */
export function createClient(options: ClientOptions = {}): Client {
  const ports = { ...defaultPorts(), ...options.ports }
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
  /** Other names under which topics were requested, by canonical address. */
  const aliases = new Map<string, Set<string>>()
  const watchers = new Set<() => void>()
  let connected = IDLE
  let status: Status = { state: 'idle', stale: 0 }
  let stopSweep: (() => void) | undefined
  /** The caller named by the server; undefined if it knows none. */
  let caller: string | undefined
  let callerKnown = false
  let startedOver: number | undefined
  /** Callers of other pages that turned out not to be this page's caller. */
  const others = new Set<string>()
  /** Counts callers, so that an answer requested by one is not given to the next. */
  let callerCount = 0
  let statusScheduled = false
  let closed = false

  const events: SharedEvents = {
    onMessage,
    onEntry,
    onClock,
    since: (name) => topics.get(name)?.entry.version,
    onTopicRenamed(name, address) {
      if (name !== address) aliases.set(address, (aliases.get(address) ?? new Set([address])).add(name))
    },
    onState(state) {
      connected = state
      updateStatus()
      if (!share) stopSweep ??= ports.after(HEARTBEAT, sweep)
    },
  }
  const share = options.share?.(options, (events) => createConnection(parts, events))
  const connection = share ? share(events) : createConnection(parts, events)
  const pages = openCallerChannel(url, (message) => {
    if ('changed' in message) return void changeCaller()
    if (!callerKnown || message.caller === (caller ?? '') || others.has(message.caller)) return
    // The credentials of this browser may have changed. Private values are hidden until the server names the caller.
    others.add(message.caller)
    forget()
    connection.renew()
  })

  function onMessage(message: IncomingMessage, lineage?: string): void {
    if (message.type === 'hello') onCaller(message.caller)
    if ('now' in message) onClock(message.now)
    if (!('topic' in message)) return
    const messageLineage = ('lineage' in message ? message.lineage : undefined) ?? lineage
    let known = false
    for (const name of aliases.get(message.topic) ?? [message.topic]) {
      const topic = topics.get(name)
      if (!topic) continue
      known = true
      const { entry, line } = topic
      const left = { version: entry.version, lineage: line.lineage }
      const verdict = verdictOn(topic, message, messageLineage)
      if (verdict === 'refuse') {
        // The server has another value, so the one here is no longer current.
        const log = !('version' in message) && { log: true as const }
        if (line.refusedAt !== undefined && !entry.stale) adopt(topic, { ...entry, ...log, stale: true })
        continue
      }
      const restart = verdict === 'restart'
      const next = nextEntry(restart ? { ...entry, version: undefined } : entry, message, clock.now())
      if (next) {
        topic.confirmedAt = ports.now()
        const whose = messageLineage === undefined || !next.version ? undefined : { lineage: messageLineage }
        if (restart) startOver(topic, { ...next, ...whose, startedOver: left })
        else put(topic, { ...next, ...whose })
      } else if (message.type === 'patch') connection.resync(name)
    }
    if (!known) resolve()
  }

  /** Decides what to do with a message, by its version and lineage. */
  function verdictOn({ entry, line }: Topic, message: TopicMessage, lineage: string | undefined): Verdict {
    const version = versionOf(message)
    if (version === undefined) return 'take'
    const newer = order(version, entry.version)
    const whole = message.type !== 'heartbeat' && message.type !== 'patch'
    // It refers to a newer version that has not arrived.
    if (!whole && newer > 0 && !('from' in message && message.from === entry.version))
      return lineage !== undefined && line.abandoned.has(lineage) ? 'refuse' : 'take'
    return judge(line, lineage, newer, ports.now(), whole)
  }

  /** Replaces an entry after the epochs of the server went back. For a log, a gap is reported first. */
  function startOver(topic: Topic, next: Entry): void {
    startedOver = ports.now()
    const { startedOver: left } = next
    if (next.log && !next.gap) {
      const to = versionBefore(next.version)
      adopt(topic, { ...next, value: undefined, version: to, gap: { from: left?.version ?? to, to } })
      adopt(topic, { ...next, startedOver: undefined })
    } else adopt(topic, next)
    scheduleStatus()
  }

  /** If the server's clock was ahead and is corrected, no time may remain in the future, so that no age is negative. */
  function onClock(serverNow: number): void {
    const before = clock.now()
    clock.update(serverNow)
    const now = clock.now()
    if (now >= before) return
    for (const topic of topics.values()) {
      const { changedAt, checkedAt } = topic.entry
      if (checkedAt <= now) continue
      topic.entry = { ...topic.entry, changedAt: Math.min(changedAt, now), checkedAt: now }
      if (!topic.entry.log) for (const listener of topic.listeners) notify(listener, topic.entry)
    }
  }

  /** The server named its caller. */
  function onCaller(next: string | undefined): void {
    if (callerKnown && next === caller) return
    const lapsed = callerKnown && !next
    if (callerKnown) forget()
    callerKnown = true
    caller = next
    others.clear()
    pages?.send({ caller: next ?? '' })
    if (lapsed && options.renew)
      Promise.resolve()
        .then(options.renew)
        .then(connection.renew, () => {})
  }

  /** Drops private values. */
  function forget(): void {
    callerCount += 1
    for (const topic of topics.values()) {
      const { entry, past, listeners } = topic
      if (!entry.private && !entry.problem) continue
      topic.entry = entry.private ? emptyEntry(entry.topic) : { ...entry, problem: undefined }
      if (entry.private) topic.line = newLine()
      if (entry.private) past.length = 0
      for (const listener of listeners) notify(listener, topic.entry)
    }
    scheduleStatus()
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
    pages?.send({ changed: true })
    await forgetPages(ports)
  }

  /** Accepts an entry from another tab. */
  function onEntry(next: Entry): void {
    const topic = topics.get(next.topic)
    if (!topic) return
    const { line, entry } = topic
    const { startedOver: left } = next
    if (left && left.lineage === line.lineage && left.lineage !== next.lineage) {
      // The leading tab has already waited for all.
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

  /** Adopts an entry if it is newer. For a log, a gap in between is reported first. */
  function put(topic: Topic, next: Entry): void {
    const gap = gapBefore(topic.entry, next)
    if (gap) adopt(topic, gap)
    if (follows(topic.entry, next)) adopt(topic, next)
  }

  function adopt(topic: Topic, next: Entry): void {
    const before = topic.entry
    topic.entry = next
    if (before.stale !== next.stale || before.problem !== next.problem) scheduleStatus()
    if (next.log) {
      // Listeners of a log get only events and gaps.
      if (next.version === before.version) return
      topic.past.push(next)
      if (topic.past.length > MAX_PAST) topic.past.shift()
    } else if (next.version && !next.private) memory?.set(next)
    for (const listener of topic.listeners) notify(listener, next)
  }

  function notify(listener: (entry: Entry) => void, entry: Entry): void {
    try {
      listener(entry)
    } catch (thrown) {
      // A failure of the listener is reported as uncaught, and does not end the connection.
      ports.after(0, () => {
        throw thrown
      })
    }
  }

  function scheduleStatus(): void {
    if (statusScheduled) return
    statusScheduled = true
    queueMicrotask(updateStatus)
  }

  function updateStatus(): void {
    statusScheduled = false
    let stale = 0
    const { phase, ...rest } = connected
    let { problem } = rest
    for (const { entry, listeners } of topics.values()) {
      if (listeners.size === 0) continue
      const { problem: why } = entry
      // Either there is no value to show, or this caller may not see it.
      const refused = why && (!entry.changedAt || CALLER_STATUS.includes(why.status))
      if (entry.stale || refused) stale += 1
      problem ??= why
    }
    const state = phase === 'lost' ? 'offline' : phase === 'live' && stale > 0 ? 'stale' : phase
    status = { ...rest, ...(problem && { problem }), ...(startedOver && { startedOver }), state, stale }
    if (closed) status = { state: 'closed', stale: 0 }
    for (const changed of watchers) changed()
  }

  /**
   * Marks topics without recent confirmation as stale and requests them again: their messages were lost although the
   * connection lives.
   */
  function sweep(): void {
    const { heartbeat = HEARTBEAT, phase } = connected
    stopSweep = phase === 'idle' ? undefined : ports.after(heartbeat, sweep)
    const now = ports.now()
    for (const [name, topic] of topics) {
      const { entry } = topic
      if (now - topic.confirmedAt <= SILENT * heartbeat || entry.problem?.retry === false) continue
      topic.confirmedAt = now
      topic.resolved = false
      if (entry.version && !entry.stale) adopt(topic, { ...entry, stale: true })
      if (phase === 'live') connection.resync(name)
    }
  }

  /** A message arrived under an unknown address. The server knows which requested name it belongs to. */
  function resolve(): void {
    const asked: string[] = []
    for (const [name, topic] of topics) {
      if (topic.entry.version || topic.entry.problem || topic.resolved) continue
      topic.resolved = true
      asked.push(name)
    }
    for (const part of splitTopics(asked))
      fetchValues(parts, part).then(
        ({ messages, lineage }) => {
          for (const message of messages) {
            const { address, topic } = message
            events.onTopicRenamed(topic, address)
            onMessage(message, lineage)
          }
        },
        // A failed request is repeated by the sweep.
        () => {},
      )
  }

  /**
   * The age of an answer, in milliseconds (RFC 9111, 4.2.3). A cache without `Age` still passes on `Date`, in whole
   * seconds.
   */
  function ageOf(headers: Headers): number {
    const date = Date.parse(headers.get('date') ?? '')
    const apparent = clock.known && date ? clock.now() - date - 1000 : 0
    return Math.max(0, Number(headers.get('age')) * 1000 || 0, apparent)
  }

  function check(): void {
    if (closed) throw new Error('The client is closed')
    if (!url)
      throw new Error('createClient: url: expected the address of the server, got nothing and no page origin to use')
  }

  function want(): void {
    connection.want([...topics.keys()])
  }

  // Waking up or going online deserves a retry at once.
  const { retry } = connection
  globalThis.addEventListener?.('online', retry)
  globalThis.document?.addEventListener('visibilitychange', retry)
  // A page from the back/forward cache may have been left by another caller.
  const restored = ({ persisted }: PageTransitionEvent) => persisted && changeCaller()
  globalThis.addEventListener?.('pageshow', restored)

  return {
    async get<Value>(name: string) {
      check()
      const asking = callerCount
      const topic = topics.get(name)
      const had = (topic?.entry ?? memory?.get(name)) as Entry<Value> | undefined
      const known = had?.version && !had.log ? had : undefined
      if (known && topic && connected.phase === 'live' && !known.stale) return known
      const answer = await ports.fetch(`${url}${withQuery(name, 'as=json')}`, { cache: 'no-store' }).catch((thrown) => {
        if (!known) throw thrown
      })
      if (callerCount !== asking) throw new Error('The caller changed before the answer arrived')
      if (!answer) return { ...known, stale: true } as Entry<Value>
      if (!answer.ok) throw await readProblem(answer)
      const header = (field: string) => answer.headers.get(field) ?? ''
      const version = header('weir-version')
      const lineage = header('weir-lineage') || undefined
      // A value of an earlier visit may come from a server that was rolled back since.
      const left = !topic && known?.lineage !== lineage
      if (known && !left && order(version, known.version) < 0) return known
      const at = clock.now() - ageOf(answer.headers)
      const value = await readJson<Value>(answer)
      if (callerCount !== asking) throw new Error('The caller changed before the answer arrived')
      return {
        topic: name,
        version,
        value,
        changedAt: at,
        checkedAt: at,
        stale: header('weir-stale') === '?1',
        lineage,
      }
    },

    subscribe<Value>(name: string, given: (entry: Entry<Value>) => void, { since }: { readonly since?: string } = {}) {
      if (closed) return () => {}
      check()
      // A separate function for each call, since the same listener may subscribe twice.
      const listener = (entry: Entry) => given(entry as Entry<Value>)
      let topic = topics.get(name)
      if (!topic) {
        const last = since ? undefined : memory?.get(name)
        topic = {
          entry: { ...emptyEntry(name, since), ...last, stale: !!last },
          past: [],
          listeners: new Set(),
          line: newLine(last?.lineage),
          confirmedAt: ports.now(),
          resolved: false,
          stopForgetting() {},
        }
        topics.set(name, topic)
        want()
      }
      const { entry, past, listeners } = topic
      topic.stopForgetting()
      listeners.add(listener)
      if (entry.stale) scheduleStatus()
      for (const each of entry.log ? past : [entry])
        if (each.version && !(order(each.version, since) <= 0)) notify(listener, each)
      const joined = topic
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return
        if (joined.entry.stale) scheduleStatus()
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
      return (await readJson<{ position: string }>(answer)).position
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
      updateStatus()
    },
  }
}

/** The origin of the page; empty where there is no page, as in Node. */
function pageOrigin(): string {
  const { origin = '' } = globalThis.location ?? {}
  return origin === 'null' ? '' : origin
}

/** The entry of a topic before the first message. */
function emptyEntry(topic: string, version?: string): Entry {
  return { topic, version, value: undefined, changedAt: 0, checkedAt: 0, stale: false }
}
