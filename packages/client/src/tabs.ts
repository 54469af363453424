import { nameOf } from './caller.ts'
import { type Client, type ClientOptions, createClient } from './client.ts'
import { type Connection, type ConnectionState, IDLE } from './connection.ts'
import type { Entry } from './entry.ts'

/** Options of tabs that share a connection. */
export interface TabsOptions {
  /** Tabs with the same name and server share: `weir` by default. */
  readonly name?: string
  /**
   * Creates a SharedWorker that calls `leadTabs()`. Without it, or without SharedWorkers, one of the tabs connects for
   * all.
   */
  readonly worker?: () => SharedWorker
}

/** A message of a tab to the leader: its topics, a request to retry, or a ping. */
type TabMessage =
  | { readonly tab: string; readonly want: readonly string[] }
  | { readonly retry: true }
  | { readonly ping: string }

/** A message of the leader to all tabs. `begins`: it has just become the leader, and knows no topics yet. */
interface LeaderMessage {
  readonly leader: string
  readonly now: number
  readonly begins?: true
  readonly entry?: Entry
  readonly state?: ConnectionState
  /** A private topic, which each tab requests by itself, as its own caller. */
  readonly apart?: string
}

/** How often a tab checks that the leader is active, in milliseconds. */
const CHECK_INTERVAL = 1000
/** A leader that is silent for this long is pinged, in milliseconds. */
const SILENT = 3000
/**
 * A leader that does not answer a ping within this time is stuck, in milliseconds. Up to the same time is added at
 * random, so that one tab takes over.
 */
const PING_TIMEOUT = 1500

/** Errors that refuse a topic to an unknown caller: the leader's caller need not be that of the tab. */
const CALLER_CODES = ['unauthenticated', 'credential_expired']

/**
 * Shares one connection among all tabs of an origin and a server, as `share` of `createClient`. The holder of a Web
 * Lock leads: the SharedWorker, or one of the tabs. When it closes or is stuck, the next one leads. Each tab keeps its
 * own versions, so a change of leader never takes it back. Private values are not shared: each tab has its own
 * connection for them. Without locks, as on pages without TLS, each tab connects by itself.
 */
export function shareTabs({ name = 'weir', worker }: TabsOptions = {}): NonNullable<ClientOptions['share']> {
  return ({ share: _, persist: __, renew: ___, ...options }, connect) => {
    if (!('locks' in navigator) || !('BroadcastChannel' in globalThis)) return undefined
    return (events) => {
      const tab = crypto.randomUUID()
      const group = groupOf(name, options.url)
      const channel = new BroadcastChannel(group)
      const leaving = new AbortController()
      let wanted: readonly string[] = []
      /** Private topics. */
      const privateTopics = new Set<string>()
      let present = false
      let stopLeading: (() => void) | undefined
      /** The leader, and when it last sent a message. */
      let leader: string | undefined
      let spokeAt = Date.now()
      let pingedAt: number | undefined
      let shared = IDLE
      let own = IDLE
      let connection: Connection | undefined

      const send = (message: TabMessage) => channel.postMessage(message)
      const sharedTopics = () => wanted.filter((topic) => !privateTopics.has(topic))
      function lead(steal: boolean): void {
        stopLeading?.()
        stopLeading = leadTabs({ ...options, name }, steal)
      }
      function sendWanted(): void {
        if (present) send({ tab, want: sharedTopics() })
      }
      /** Reports the worse state of the two connections. */
      function publishState(): void {
        if (wanted.length === 0) events.onState(IDLE)
        else if (sharedTopics().length === 0) events.onState(own)
        else
          events.onState(own.phase === 'lost' || (own.phase === 'connecting' && shared.phase === 'live') ? own : shared)
      }
      function wantPrivate(): void {
        const topics = wanted.filter((topic) => privateTopics.has(topic))
        if (topics.length === 0 && !connection) return
        connection ??= connect({
          ...events,
          onState(state) {
            own = state
            publishState()
          },
        })
        connection.want(topics)
      }

      function checkLeader(): void {
        const now = Date.now()
        if (sharedTopics().length === 0) spokeAt = now
        else if (pingedAt !== undefined) {
          if (now - pingedAt > PING_TIMEOUT * (1 + Math.random())) replaceLeader(now)
        } else if (now - spokeAt > SILENT) {
          pingedAt = now
          send({ ping: tab })
        }
      }
      /** The leader holds the lock but does nothing: it is frozen or blocked. */
      function replaceLeader(now: number): void {
        pingedAt = undefined
        spokeAt = now
        leader = undefined
        shared = { ...shared, phase: shared.phase === 'live' ? 'lost' : shared.phase, lostAt: shared.lostAt ?? now }
        publishState()
        lead(true)
      }

      const sharedWorker = 'SharedWorker' in globalThis ? worker?.() : undefined
      if (sharedWorker === undefined) lead(false)
      else sharedWorker.onerror = () => lead(false)
      const checking = setInterval(checkLeader, CHECK_INTERVAL)
      hold(`${group} ${tab}`, leaving.signal, () => {
        present = true
        sendWanted()
      })
      channel.onmessage = ({ data }: MessageEvent<LeaderMessage>) => {
        // Messages of other tabs arrive here too.
        if (!('leader' in data)) return
        // A leader that was stuck does not know yet that another leads.
        if (leader !== undefined && data.leader !== leader && !data.begins) return
        leader = data.leader
        spokeAt = Date.now()
        pingedAt = undefined
        const { now, entry, state, begins } = data
        events.onClock(now)
        if (entry !== undefined && !privateTopics.has(entry.topic)) events.onEntry(entry)
        if (data.apart !== undefined && wanted.includes(data.apart) && !privateTopics.has(data.apart)) {
          privateTopics.add(data.apart)
          sendWanted()
          wantPrivate()
        }
        if (state !== undefined) {
          shared = state
          publishState()
        }
        if (begins) sendWanted()
      }
      return {
        want(topics) {
          if (sharedTopics().length === 0) shared = { phase: 'connecting' }
          wanted = topics
          publishState()
          sendWanted()
          wantPrivate()
        },
        // The leader detects missed messages itself.
        resync(topic) {
          if (privateTopics.has(topic)) connection?.resync(topic)
        },
        retry() {
          send({ retry: true })
          connection?.retry()
        },
        renew: () => connection?.renew(),
        close() {
          clearInterval(checking)
          leaving.abort()
          stopLeading?.()
          connection?.close()
          channel.close()
        },
      }
    }
  }
}

/**
 * Leads the tabs as soon as no other does, in a SharedWorker or a tab. Returns a function that stops it.
 *
 * @param steal takes over from a leader that is stuck
 */
export function leadTabs(
  { name = 'weir', ...options }: ClientOptions & Pick<TabsOptions, 'name'> = {},
  steal = false,
): () => void {
  const leaving = new AbortController()
  const group = groupOf(name, options.url)
  function lead(steal: boolean): void {
    let stop = () => {}
    hold(
      `${group} lead`,
      leaving.signal,
      () => {
        const client = createClient({ ...options, linger: 0 })
        const channel = new BroadcastChannel(group)
        serveTabs(client, channel, group)
        stop = () => {
          client.close()
          channel.close()
        }
      },
      // It was stuck and another took over: it waits for its turn.
      () => {
        stop()
        if (!leaving.signal.aborted) lead(false)
      },
      steal,
    )
  }
  lead(steal)
  return () => leaving.abort()
}

/** The name of the channel and locks of the tabs of one server. */
function groupOf(name: string, url = globalThis.location.origin): string {
  return `weir.${name} ${nameOf(url)}`
}

/** Sends the tabs the entries of all topics that any of them wants. */
function serveTabs(client: Client, channel: BroadcastChannel, group: string): void {
  const leader = crypto.randomUUID()
  const wants = new Map<string, readonly string[]>()
  const subscriptions = new Map<string, () => void>()
  const privateTopics = new Set<string>()
  const send = (message: Omit<LeaderMessage, 'now' | 'leader'>) =>
    channel.postMessage({ leader, now: client.now(), ...message })

  function sendEntry(entry: Entry): void {
    if (!entry.private && !CALLER_CODES.includes(entry.problem?.code ?? '')) {
      send({ entry })
      return
    }
    const { topic } = entry
    privateTopics.add(topic)
    subscriptions.get(topic)?.()
    subscriptions.delete(topic)
    send({ apart: topic })
  }

  function publishState(): void {
    const { state, stale: _, ...rest } = client.status()
    if (state === 'closed') return
    send({ state: { ...rest, phase: state === 'offline' ? 'lost' : state === 'stale' ? 'live' : state } })
  }

  function join(topic: string): void {
    if (privateTopics.has(topic)) {
      send({ apart: topic })
      return
    }
    // A tab that joins a topic gets the known entries; the other tabs ignore them.
    if (subscriptions.has(topic)) client.subscribe(topic, sendEntry)()
    else subscriptions.set(topic, client.subscribe(topic, sendEntry))
    const entry = client.entry(topic)
    if (entry?.problem !== undefined) sendEntry(entry)
  }

  function forget(): void {
    const wanted = new Set([...wants.values()].flat())
    for (const [topic, stop] of subscriptions) {
      if (wanted.has(topic)) continue
      subscriptions.delete(topic)
      stop()
    }
  }

  channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
    if ('retry' in data) client.retry()
    if ('ping' in data) publishState()
    if (!('tab' in data)) return
    const { tab, want } = data
    // A tab holds its lock as long as it exists, so its end is noticed however it ended.
    if (!wants.has(tab))
      void navigator.locks.request(`${group} ${tab}`, () => {
        wants.delete(tab)
        forget()
      })
    const before = wants.get(tab) ?? []
    wants.set(tab, want)
    for (const topic of want) if (!before.includes(topic)) join(topic)
    forget()
    publishState()
  }
  client.watchStatus(publishState)
  send({ begins: true })
}

/** Waits for a lock, and holds it until the signal or until another steals it. */
function hold(lock: string, signal: AbortSignal, held: () => void, over: () => void = () => {}, steal = false): void {
  const released = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  navigator.locks
    .request(lock, steal ? { steal } : { signal }, () => {
      if (signal.aborted) return
      held()
      return released
    })
    // Aborted, or stolen by another.
    .catch(() => {})
    .then(over)
}
