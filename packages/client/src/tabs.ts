import { nameOf } from './caller.ts'
import { type Client, type ClientOptions, createClient } from './client.ts'
import { type Connection, type ConnectionState, IDLE } from './connection.ts'
import type { Entry } from './entry.ts'

/** How tabs that share a connection find each other. */
export interface TabsOptions {
  /** Tabs of one name and one server share: `weir` by default. */
  readonly name?: string
  /** Makes a SharedWorker that calls `leadTabs()`. Without it, or where there are none, one of the tabs connects for all. */
  readonly worker?: () => SharedWorker
}

/** What a tab says to the leader: its topics, that it wants a new try, or a question whether the leader still runs. */
type Wish =
  | { readonly tab: string; readonly want: readonly string[] }
  | { readonly retry: true }
  | { readonly ping: string }

/** What the leader says to all tabs. `begins`: it leads from now on, and knows of no topics yet. */
interface Word {
  readonly leader: string
  readonly now: number
  readonly begins?: true
  readonly entry?: Entry
  readonly state?: ConnectionState
  /** A topic that is not everybody's: each tab asks for it by itself, as the caller that it has. */
  readonly apart?: string
}

/** How often a tab looks whether the leader still speaks, in milliseconds. */
const LOOK = 1000
/** A leader that is silent for so long is asked whether it still runs, in milliseconds. */
const SILENT = 3000
/** A leader that does not answer by then stands still, in milliseconds. Up to as much again is added, so that one tab takes over. */
const ANSWERS = 1500

/** What refuses a topic to a caller that is not known: the leader's caller need not be that of the tab. */
const CALLER_CODES = ['unauthenticated', 'credential_expired']

/**
 * One connection for all tabs of an origin and a server, as `share` of `createClient`. The holder of a Web Lock leads: the SharedWorker, or one
 * of the tabs and, when it goes or stands still, the next. Each tab keeps its own versions, so no change of leader takes it back. Values that
 * are not everybody's are not shared: each tab has a connection of its own for them. Where there are no locks, as on pages without TLS, each
 * tab connects by itself.
 */
export function shareTabs({ name = 'weir', worker }: TabsOptions = {}): NonNullable<ClientOptions['share']> {
  return ({ share: _, persist: __, renew: ___, ...options }, connect) => {
    if (!('locks' in navigator) || !('BroadcastChannel' in globalThis)) return undefined
    return (ears) => {
      const tab = crypto.randomUUID()
      const group = groupOf(name, options.url)
      const channel = new BroadcastChannel(group)
      const leaving = new AbortController()
      let wanted: readonly string[] = []
      /** Topics that are not everybody's. */
      const apart = new Set<string>()
      let present = false
      let stopLeading: (() => void) | undefined
      /** The leader, and when it last spoke. */
      let leader: string | undefined
      let spokeAt = Date.now()
      let asked: number | undefined
      let shared = IDLE
      let own = IDLE
      let connection: Connection | undefined

      const say = (wish: Wish) => channel.postMessage(wish)
      const together = () => wanted.filter((topic) => !apart.has(topic))
      function lead(steal: boolean): void {
        stopLeading?.()
        stopLeading = leadTabs({ ...options, name }, steal)
      }
      function wish(): void {
        if (present) say({ tab, want: together() })
      }
      /** Of both connections the one that is worse off. */
      function tellState(): void {
        if (wanted.length === 0) ears.onState(IDLE)
        else if (together().length === 0) ears.onState(own)
        else
          ears.onState(own.phase === 'lost' || (own.phase === 'connecting' && shared.phase === 'live') ? own : shared)
      }
      function wantApart(): void {
        const topics = wanted.filter((topic) => apart.has(topic))
        if (topics.length === 0 && !connection) return
        connection ??= connect({
          ...ears,
          onState(state) {
            own = state
            tellState()
          },
        })
        connection.want(topics)
      }

      function look(): void {
        const now = Date.now()
        if (together().length === 0) spokeAt = now
        else if (asked !== undefined) {
          if (now - asked > ANSWERS * (1 + Math.random())) standsStill(now)
        } else if (now - spokeAt > SILENT) {
          asked = now
          say({ ping: tab })
        }
      }
      /** The leader holds the lock and does nothing: it is frozen, or something blocks it. */
      function standsStill(now: number): void {
        asked = undefined
        spokeAt = now
        leader = undefined
        shared = { ...shared, phase: shared.phase === 'live' ? 'lost' : shared.phase, lostAt: shared.lostAt ?? now }
        tellState()
        lead(true)
      }

      const sharedWorker = 'SharedWorker' in globalThis ? worker?.() : undefined
      if (sharedWorker === undefined) lead(false)
      else sharedWorker.onerror = () => lead(false)
      const looking = setInterval(look, LOOK)
      hold(`${group} ${tab}`, leaving.signal, () => {
        present = true
        wish()
      })
      channel.onmessage = ({ data }: MessageEvent<Word>) => {
        // Other tabs' wishes come here too.
        if (!('leader' in data)) return
        // One that stood still does not know yet that another leads.
        if (leader !== undefined && data.leader !== leader && !data.begins) return
        leader = data.leader
        spokeAt = Date.now()
        asked = undefined
        const { now, entry, state, begins } = data
        ears.clock(now)
        if (entry !== undefined && !apart.has(entry.topic)) ears.take(entry)
        if (data.apart !== undefined && wanted.includes(data.apart) && !apart.has(data.apart)) {
          apart.add(data.apart)
          wish()
          wantApart()
        }
        if (state !== undefined) {
          shared = state
          tellState()
        }
        if (begins) wish()
      }
      return {
        want(topics) {
          if (together().length === 0) shared = { phase: 'connecting' }
          wanted = topics
          tellState()
          wish()
          wantApart()
        },
        // The leader sees for itself what it missed.
        resync(topic) {
          if (apart.has(topic)) connection?.resync(topic)
        },
        retry() {
          say({ retry: true })
          connection?.retry()
        },
        renew: () => connection?.renew(),
        close() {
          clearInterval(looking)
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
 * Leads the tabs as soon as no other does: in a SharedWorker, or in a tab. Returns what ends it.
 *
 * @param steal takes the lead from one that stands still
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
        serve(client, channel, group)
        stop = () => {
          client.close()
          channel.close()
        }
      },
      // It stood still, and another took over: it waits for its turn.
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

/** The name of all that the tabs of one server share. */
function groupOf(name: string, url = globalThis.location.origin): string {
  return `weir.${name} ${nameOf(url)}`
}

/** Tells the tabs what comes of the topics that any of them wants. */
function serve(client: Client, channel: BroadcastChannel, group: string): void {
  const leader = crypto.randomUUID()
  const wants = new Map<string, readonly string[]>()
  const heard = new Map<string, () => void>()
  const apart = new Set<string>()
  const say = (word: Omit<Word, 'now' | 'leader'>) => channel.postMessage({ leader, now: client.now(), ...word })

  function tell(entry: Entry): void {
    if (!entry.private && !CALLER_CODES.includes(entry.problem?.code ?? '')) {
      say({ entry })
      return
    }
    const { topic } = entry
    apart.add(topic)
    heard.get(topic)?.()
    heard.delete(topic)
    say({ apart: topic })
  }

  function tellState(): void {
    const { state, stale: _, ...rest } = client.status()
    if (state === 'closed') return
    say({ state: { ...rest, phase: state === 'offline' ? 'lost' : state === 'stale' ? 'live' : state } })
  }

  function join(topic: string): void {
    if (apart.has(topic)) {
      say({ apart: topic })
      return
    }
    // A tab that joins what others have already is sent what there is: those drop it.
    if (heard.has(topic)) client.subscribe(topic, tell)()
    else heard.set(topic, client.subscribe(topic, tell))
    const entry = client.entry(topic)
    if (entry?.problem !== undefined) tell(entry)
  }

  function forget(): void {
    const wanted = new Set([...wants.values()].flat())
    for (const [topic, stop] of heard) {
      if (wanted.has(topic)) continue
      heard.delete(topic)
      stop()
    }
  }

  channel.onmessage = ({ data }: MessageEvent<Wish>) => {
    if ('retry' in data) client.retry()
    if ('ping' in data) tellState()
    if (!('tab' in data)) return
    const { tab, want } = data
    // A tab holds its lock for as long as it is there: that it is gone is seen by that alone, however it went.
    if (!wants.has(tab))
      void navigator.locks.request(`${group} ${tab}`, () => {
        wants.delete(tab)
        forget()
      })
    const before = wants.get(tab) ?? []
    wants.set(tab, want)
    for (const topic of want) if (!before.includes(topic)) join(topic)
    forget()
    tellState()
  }
  client.watchStatus(tellState)
  say({ begins: true })
}

/** Waits for a lock, and keeps it until the signal or until another steals it. */
function hold(lock: string, signal: AbortSignal, held: () => void, over: () => void = () => {}, steal = false): void {
  const released = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  navigator.locks
    .request(lock, steal ? { steal } : { signal }, () => {
      if (signal.aborted) return
      held()
      return released
    })
    // It is not waited for any more, or another stole it.
    .catch(() => {})
    .then(over)
}
