import type { Hello, Level, Problem } from '@weir/protocol'
import { type IncomingMessage, type Link, type LinkEvents, type LinkParts, type OpenLink, splitTopics } from './link.ts'
import { openPoll } from './poll.ts'
import { openSocket } from './socket.ts'
import { openSse } from './sse.ts'

/** How values arrive: by server-sent events, WebSocket or polling. */
export type Transport = 'sse' | 'ws' | 'poll'

/** The state of a connection. Times are by this machine's clock, in milliseconds since 1970. */
export interface ConnectionState {
  /** `idle`: no topics. `connecting`: nothing received yet. `lost`: it was live before. */
  readonly phase: 'idle' | 'connecting' | 'live' | 'lost'
  readonly transport?: Transport | undefined
  /** The level of the server. */
  readonly level?: Level | undefined
  /** The longest silence to expect, in milliseconds. */
  readonly heartbeat?: number | undefined
  readonly lostAt?: number | undefined
  /** When the next try is due; undefined during a try. */
  readonly retryAt?: number | undefined
  /** Why the server refused or ended the connection. */
  readonly problem?: Problem | undefined
}

export const IDLE: ConnectionState = { phase: 'idle' }

/** A connection to the server, by any transport. */
export interface Connection extends Link {
  /** Retries at once instead of later. */
  retry(): void
  /** Reconnects at once for another caller. Messages of the current connection are no longer delivered. */
  renew(): void
}

export interface ConnectionEvents {
  onMessage(message: IncomingMessage, lineage?: string): void
  onState(state: ConnectionState): void
  since(topic: string): string | undefined
  onTopicRenamed(topic: string, address: string): void
}

export interface ConnectionParts extends LinkParts {
  /** Preferred first. */
  readonly transports: readonly Transport[]
}

/** The arguments of `onLost`, and whether the link served long enough to count as good. */
type Lost = (...end: [...Parameters<LinkEvents['onLost']>, settled?: boolean]) => void

const OPEN: Readonly<Record<Transport, OpenLink>> = { sse: openSse, ws: openSocket, poll: openPoll }

/** Changes of topics within this time are sent together, in milliseconds. */
const GATHER_DELAY = 50
/** A link that dies earlier than this, in milliseconds, has not proved itself, and the next transport is tried. */
const SETTLED = 5000
const SHORTEST_CAP = 1000
const LONGEST_CAP = 15_000
/** A better transport is tried again after about this long, in milliseconds. The time doubles after each failure. */
const FIRST_UPGRADE = 10_000
const LAST_UPGRADE = 300_000

/** Full jitter: a random pause below a limit that doubles with each failure, in milliseconds. */
export function backoff(failures: number, random: number): number {
  return random * Math.min(LONGEST_CAP, SHORTEST_CAP * 2 ** failures)
}

/**
 * Keeps topics live with the best transport that delivers. If one is refused, silent or short-lived, the next is tried
 * at once; after the last there is a pause. While a lesser one serves, better ones are tried next to it, and take over
 * once they deliver.
 */
export function createConnection(parts: ConnectionParts, events: ConnectionEvents): Connection {
  const { ports, transports } = parts
  let state = IDLE
  let wanted: readonly string[] = []
  /** The transport that serves, or is being tried. */
  let transport: Transport = 'sse'
  let link: Link | undefined
  /** A better link that is being tried. */
  let probe: Link | undefined
  /** The caller that the link serves, or the last one did, and the transport on which it was known. */
  let caller: string | undefined
  let callerKnownBy: Transport = 'sse'
  /** Until when no WebSocket is tried as an upgrade, because it did not know the caller. */
  let noSocketUntil = 0
  let failures = 0
  /** Upgrades tried recently. */
  let upgrades = 0
  let stopGathering: (() => void) | undefined
  let stopWaiting = () => {}
  let stopUpgrade = () => {}

  /** Transports, preferred first. Topics that need several streams are better served by one WebSocket. */
  function preferred(): readonly Transport[] {
    return splitTopics(wanted).length < 2
      ? transports
      : transports.toSorted((a, b) => Number(b === 'ws') - Number(a === 'ws'))
  }

  function enter(next: ConnectionState): void {
    state = next
    events.onState(state)
  }

  function open(name: Transport, lost: Lost): Link {
    let hello: Hello | undefined
    let since = 0
    const opened = OPEN[name](parts, {
      since: events.since,
      onTopicRenamed: events.onTopicRenamed,
      onMessage(message, lineage) {
        if (message.type === 'hello') {
          if (hello && hello.caller !== message.caller) {
            // Its streams serve different callers, so all of them restart.
            opened.close()
            lost(0, true, undefined, settled())
            return
          }
          // A browser's WebSocket has no headers. A caller that is identified by headers would be lost there, with all
          // its values.
          if (name === 'ws' && callerKnownBy !== name && caller && !message.caller) {
            noSocketUntil = ports.now() + LAST_UPGRADE
            opened.close()
            lost()
            return
          }
          if (!hello) {
            hello = message
            since = ports.now()
            if (opened === link) serve()
          }
        }
        // Also if it serves another caller: messages for the other one must no longer be delivered.
        if (opened === probe && ('topic' in message || hello?.caller !== caller)) {
          link?.close()
          link = opened
          probe = undefined
          serve()
        }
        if ('level' in message && opened === link && message.level !== state.level)
          enter({ ...state, level: message.level })
        events.onMessage(message, lineage)
      },
      onLost(pause, graceful, problem) {
        lost(pause, hello && (graceful ?? settled()), problem, settled())
      },
    })
    function settled(): boolean {
      return hello !== undefined && ports.now() - since >= SETTLED
    }
    function serve(): void {
      transport = name
      caller = hello?.caller
      callerKnownBy = name
      enter({ phase: 'live', transport, level: hello?.level, heartbeat: hello?.heartbeat })
      planUpgrade()
    }
    opened.want(wanted)
    return opened
  }

  function begin(name = preferred()[0] ?? 'sse'): void {
    stopWaiting()
    transport = name
    enter({ phase: state.lostAt ? 'lost' : 'connecting', lostAt: state.lostAt, problem: state.problem })
    link = open(name, onLost)
  }

  function onLost(pause = 0, proven = false, problem?: Problem, settled = false): void {
    drop()
    const expired = problem?.code === 'credential_expired'
    const order = preferred()
    const next = proven ? transport : order[order.indexOf(transport) + 1]
    // The next transport is tried at once, unless the server asked to wait. A retry of the same one, or a new round,
    // waits.
    let wait = pause
    if (proven) upgrades = 0
    // A goodbye with a delay has its own pace. One that comes early without a delay would cause a busy loop.
    if (proven && (settled || (pause > 0 && !expired))) failures = 0
    if (proven || pause > 0 || !next) wait += backoff(failures, ports.random())
    if (proven || !next) failures += 1
    const now = ports.now()
    const lostAt = state.lostAt ?? now
    const scheduleRetry = () => {
      enter({ phase: 'lost', lostAt, retryAt: ports.now() + wait, problem })
      stopWaiting = ports.after(wait, () => begin(next))
    }
    if (!expired || !parts.renew) {
      scheduleRetry()
      return
    }
    let waiting = true
    stopWaiting = () => {
      waiting = false
    }
    enter({ phase: 'lost', lostAt, problem })
    // Without a new credential the client reconnects as an unknown caller.
    Promise.resolve()
      .then(parts.renew)
      .catch(() => {})
      .then(() => waiting && scheduleRetry())
  }

  function planUpgrade(): void {
    stopUpgrade()
    if (transport === preferred()[0]) return
    const pause = Math.min(LAST_UPGRADE, FIRST_UPGRADE * 2 ** upgrades)
    stopUpgrade = ports.after(pause * (0.5 + ports.random() / 2), () => upgrade(0))
  }

  /** Tries the transports that are better than the current one, preferred first. */
  function upgrade(at: number): void {
    stopUpgrade()
    upgrades += 1
    const name = preferred()[at]
    probe = undefined
    if (!name || name === transport) planUpgrade()
    else if (name === 'ws' && ports.now() < noSocketUntil) upgrade(at + 1)
    else {
      const tried = open(name, (...end) => (tried === link ? onLost(...end) : upgrade(at + 1)))
      probe = tried
    }
  }

  /** Closes everything under way. */
  function drop(): void {
    stopWaiting()
    stopUpgrade()
    link?.close()
    probe?.close()
    link = probe = undefined
  }

  function applyWanted(): void {
    stopGathering = undefined
    if (wanted.length === 0) {
      drop()
      enter(IDLE)
    } else if (state.phase === 'idle') begin()
    else {
      link?.want(wanted)
      probe?.want(wanted)
    }
  }

  return {
    want(topics) {
      wanted = topics
      stopGathering ??= ports.after(state.phase === 'idle' ? 0 : GATHER_DELAY, applyWanted)
    },
    resync(topic) {
      link?.resync(topic)
    },
    get publish() {
      return state.phase === 'live' ? link?.publish : undefined
    },
    renew() {
      if (state.phase === 'idle') return
      drop()
      upgrades = noSocketUntil = 0
      begin()
    },
    retry() {
      upgrades = 0
      if (state.retryAt) begin(transport)
      else if (state.phase === 'live' && !probe) upgrade(0)
    },
    close() {
      stopGathering?.()
      drop()
    },
  }
}
