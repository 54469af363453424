import type { Hello, Level, Problem } from '@weir/protocol'
import { type IncomingMessage, type Link, type LinkEvents, type LinkParts, type OpenLink, partTopics } from './link.ts'
import { openPoll } from './poll.ts'
import { openSocket } from './socket.ts'
import { openSse } from './sse.ts'

/** How values come: server-sent events, WebSocket, or by asking again and again. */
export type Transport = 'sse' | 'ws' | 'poll'

/** How the connection is doing. Moments are by this machine's clock, in milliseconds since 1970. */
export interface ConnectionState {
  /** `idle`: nothing is wanted. `connecting`: nothing came yet. `lost`: it was there. */
  readonly phase: 'idle' | 'connecting' | 'live' | 'lost'
  readonly transport?: Transport | undefined
  /** How hard the server is pressed. */
  readonly level?: Level | undefined
  /** The longest silence to expect, in milliseconds. */
  readonly heartbeat?: number | undefined
  readonly lostAt?: number | undefined
  /** When the next try is due; undefined while one is under way. */
  readonly retryAt?: number | undefined
  /** Why the server refuses or ended the connection. */
  readonly problem?: Problem | undefined
}

export const IDLE: ConnectionState = { phase: 'idle' }

/** What carries topics to a client, by whatever transport. */
export interface Connection extends Link {
  /** Tries at once what it was going to try later. */
  retry(): void
  /** Connects again at once, for another caller: nothing of the connection of now is heard any more. */
  renew(): void
}

export interface ConnectionEvents {
  onMessage(message: IncomingMessage, lineage?: string): void
  onState(state: ConnectionState): void
  since(topic: string): string | undefined
  onTopicRenamed(topic: string, address: string): void
}

export interface ConnectionParts extends LinkParts {
  /** The best first. */
  readonly transports: readonly Transport[]
}

/** As a link says it, and whether it served for long enough to count as a good one. */
type Lost = (...end: [...Parameters<LinkEvents['onLost']>, settled?: boolean]) => void

const OPEN: Readonly<Record<Transport, OpenLink>> = { sse: openSse, ws: openSocket, poll: openPoll }

/** Topics that come and go together are told of together, in milliseconds. */
const GATHER = 50
/** A link that dies younger than this, in milliseconds, has not proved itself: the next transport is tried. */
const SETTLED = 5000
const SHORTEST_CAP = 1000
const LONGEST_CAP = 15_000
/** A better transport is tried again after about so long, in milliseconds; twice as long after each time in vain. */
const FIRST_UPGRADE = 10_000
const LAST_UPGRADE = 300_000

/** Full jitter: anything from nothing up to a cap that doubles with each failure, in milliseconds. */
export function backoff(failures: number, random: number): number {
  return random * Math.min(LONGEST_CAP, SHORTEST_CAP * 2 ** failures)
}

/**
 * Keeps topics live by the best transport that delivers. One that is refused, silent or short-lived is followed by the next at once; after the
 * last there is a pause. While a lower one serves, the better ones are tried beside it, and take over once they deliver.
 */
export function createConnection(parts: ConnectionParts, ears: ConnectionEvents): Connection {
  const { ports, transports } = parts
  let state = IDLE
  let wanted: readonly string[] = []
  /** The transport that serves, or is tried. */
  let transport: Transport = 'sse'
  let link: Link | undefined
  /** A better one, tried beside it. */
  let probe: Link | undefined
  /** The caller whom the link serves, or the last one did, and by what transport. */
  let caller: string | undefined
  let knownBy: Transport = 'sse'
  /** Until when no WebSocket is tried beside what serves: it did not know the caller. */
  let unknownUntil = 0
  let failures = 0
  /** Upgrades that were tried of late. */
  let upgrades = 0
  let stopGathering: (() => void) | undefined
  let stopWaiting = () => {}
  let stopUpgrade = () => {}

  /** The best first: what takes several streams is better off on a WebSocket. */
  function preferred(): readonly Transport[] {
    return partTopics(wanted).length < 2
      ? transports
      : transports.toSorted((a, b) => Number(b === 'ws') - Number(a === 'ws'))
  }

  function enter(next: ConnectionState): void {
    state = next
    ears.onState(state)
  }

  function open(name: Transport, lost: Lost): Link {
    let hello: Hello | undefined
    let since = 0
    const opened = OPEN[name](parts, {
      since: ears.since,
      onTopicRenamed: ears.onTopicRenamed,
      onMessage(message, lineage) {
        if (message.type === 'hello') {
          if (hello && hello.caller !== message.caller) {
            // Its streams serve different callers: all of them begin again.
            opened.close()
            lost(0, true, undefined, settled())
            return
          }
          // A WebSocket has no headers: a caller that only requests name would be lost there, with all its values.
          if (name === 'ws' && knownBy !== name && caller && !message.caller) {
            unknownUntil = ports.now() + LAST_UPGRADE
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
        // Also when it serves another caller: what the other one still says is not heard.
        if (opened === probe && ('topic' in message || hello?.caller !== caller)) {
          link?.close()
          link = opened
          probe = undefined
          serve()
        }
        if ('level' in message && opened === link && message.level !== state.level)
          enter({ ...state, level: message.level })
        ears.onMessage(message, lineage)
      },
      onLost(pause, fair, problem) {
        lost(pause, hello && (fair ?? settled()), problem, settled())
      },
    })
    function settled(): boolean {
      return hello !== undefined && ports.now() - since >= SETTLED
    }
    function serve(): void {
      transport = name
      caller = hello?.caller
      knownBy = name
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
    link = open(name, lose)
  }

  function lose(pause = 0, proven = false, problem?: Problem, settled = false): void {
    drop()
    const expired = problem?.code === 'credential_expired'
    const order = preferred()
    const next = proven ? transport : order[order.indexOf(transport) + 1]
    // The next transport is tried at once, unless the server wants to be left alone; a server, or a whole round, is not.
    let wait = pause
    if (proven) upgrades = 0
    // A goodbye that says when to come back keeps its own pace; one that comes soon and says nothing would make a hot loop.
    if (proven && (settled || (pause > 0 && !expired))) failures = 0
    if (proven || pause > 0 || !next) wait += backoff(failures, ports.random())
    if (proven || !next) failures += 1
    const now = ports.now()
    const lostAt = state.lostAt ?? now
    const again = () => {
      enter({ phase: 'lost', lostAt, retryAt: ports.now() + wait, problem })
      stopWaiting = ports.after(wait, () => begin(next))
    }
    if (!expired || !parts.renew) {
      again()
      return
    }
    let waiting = true
    stopWaiting = () => {
      waiting = false
    }
    enter({ phase: 'lost', lostAt, problem })
    // Where none is to be had it comes back all the same: as a caller whom the server does not know.
    Promise.resolve()
      .then(parts.renew)
      .catch(() => {})
      .then(() => waiting && again())
  }

  function planUpgrade(): void {
    stopUpgrade()
    if (transport === preferred()[0]) return
    const pause = Math.min(LAST_UPGRADE, FIRST_UPGRADE * 2 ** upgrades)
    stopUpgrade = ports.after(pause * (0.5 + ports.random() / 2), () => upgrade(0))
  }

  /** Tries what is better than what serves, the best first. */
  function upgrade(at: number): void {
    stopUpgrade()
    upgrades += 1
    const name = preferred()[at]
    probe = undefined
    if (!name || name === transport) planUpgrade()
    else if (name === 'ws' && ports.now() < unknownUntil) upgrade(at + 1)
    else {
      const tried = open(name, (...end) => (tried === link ? lose(...end) : upgrade(at + 1)))
      probe = tried
    }
  }

  /** Lets go of all that is under way. */
  function drop(): void {
    stopWaiting()
    stopUpgrade()
    link?.close()
    probe?.close()
    link = probe = undefined
  }

  function gathered(): void {
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
      stopGathering ??= ports.after(state.phase === 'idle' ? 0 : GATHER, gathered)
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
      upgrades = unknownUntil = 0
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
