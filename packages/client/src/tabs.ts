import { type Client, type ClientOptions, createClient } from './client.ts'
import { type ConnectionState, IDLE } from './connection.ts'
import type { Entry } from './entry.ts'

/** How tabs that share a connection find each other. */
export interface TabsOptions {
  /** Tabs of one name share: `weir` unless told. */
  readonly name?: string
  /** Makes a SharedWorker that calls `leadTabs()`. Without it, or where there are none, one of the tabs connects for all. */
  readonly worker?: () => SharedWorker
}

/** What a tab says to who leads. */
type Wish = { readonly tab: string; readonly want: readonly string[] } | { readonly retry: true }

/** What who leads says to all tabs; without anything else: that it does. */
interface Word {
  readonly now: number
  readonly entry?: Entry
  readonly state?: ConnectionState
}

/** A worker that has not spoken by then, in milliseconds, could not be loaded: a tab may lead as well. */
const FIRST_WORD = 3000

/**
 * One connection for all tabs of an origin, as `share` of `createClient`. Whoever holds a Web Lock leads: the SharedWorker, or one of the
 * tabs and, when it goes, the next. Each tab keeps its own versions, so no change of leader takes it back. Where there are no locks, as on
 * pages without TLS, each tab connects by itself.
 */
export function shareTabs({ name = 'weir', worker }: TabsOptions = {}): NonNullable<ClientOptions['share']> {
  return ({ share: _, memory: __, ...options }) => {
    if (!('locks' in navigator) || !('BroadcastChannel' in globalThis)) return undefined
    return (ears) => {
      const tab = crypto.randomUUID()
      const channel = new BroadcastChannel(`weir.${name}`)
      const leaving = new AbortController()
      let wanted: readonly string[] = []
      let present = false
      let stopLeading: (() => void) | undefined
      const lead = () => {
        stopLeading ??= leadTabs({ ...options, name })
      }
      const say = (wish: Wish) => channel.postMessage(wish)
      const wish = () => {
        if (present) say({ tab, want: wanted })
      }

      const shared = 'SharedWorker' in globalThis ? worker?.() : undefined
      if (shared === undefined) lead()
      else shared.onerror = lead
      const patience = setTimeout(lead, FIRST_WORD)
      hold(`weir.${name}.${tab}`, leaving.signal, () => {
        present = true
        wish()
      })
      channel.onmessage = ({ data }: MessageEvent<Word>) => {
        // Other tabs' wishes are heard here too.
        if (!('now' in data)) return
        clearTimeout(patience)
        const { now, entry, state } = data
        ears.clock(now)
        if (entry !== undefined) ears.take(entry)
        if (state !== undefined && wanted.length > 0) ears.state(state)
        // Somebody new leads, and does not know what is wanted.
        if (entry === undefined && state === undefined) wish()
      }
      return {
        want(topics) {
          if (topics.length === 0) ears.state(IDLE)
          else if (wanted.length === 0) ears.state({ phase: 'connecting' })
          wanted = topics
          wish()
        },
        // Who leads sees for itself what it missed.
        again() {},
        retry: () => say({ retry: true }),
        close() {
          clearTimeout(patience)
          leaving.abort()
          stopLeading?.()
          channel.close()
        },
      }
    }
  }
}

/** Leads the tabs as soon as nobody else does: in a SharedWorker, or in a tab. Returns what ends it. */
export function leadTabs({ name = 'weir', ...options }: ClientOptions & Pick<TabsOptions, 'name'> = {}): () => void {
  const leaving = new AbortController()
  hold(`weir.${name}.lead`, leaving.signal, () => {
    const client = createClient({ ...options, keep: 0 })
    const channel = new BroadcastChannel(`weir.${name}`)
    serve(client, channel, `weir.${name}.`)
    leaving.signal.addEventListener('abort', () => {
      client.close()
      channel.close()
    })
  })
  return () => leaving.abort()
}

/** Tells the tabs of what any of them wants. */
function serve(client: Client, channel: BroadcastChannel, prefix: string): void {
  const wants = new Map<string, readonly string[]>()
  const heard = new Map<string, () => void>()
  const say = (word: Omit<Word, 'now'>) => channel.postMessage({ now: client.now(), ...word })
  const tell = (entry: Entry) => say({ entry })

  function tellState(): void {
    const { state, stale: _, ...rest } = client.status()
    say({ state: { ...rest, phase: state === 'offline' ? 'lost' : state === 'stale' ? 'live' : state } })
  }

  function join(topic: string): void {
    // Who joins what others hear already is told what there is: it drops what it has.
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
    if (!('tab' in data)) return
    const { tab, want } = data
    // A tab holds its lock for as long as it is there: that it is gone is seen by that alone, however it went.
    if (!wants.has(tab))
      void navigator.locks.request(prefix + tab, () => {
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
  say({})
}

/** Waits for a lock, and keeps it until the signal. */
function hold(lock: string, signal: AbortSignal, held: () => void): void {
  const released = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  navigator.locks
    .request(lock, { signal }, () => {
      held()
      return released
    })
    // Nobody waits for it any more.
    .catch(() => {})
}
