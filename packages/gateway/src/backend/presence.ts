import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Level } from '@weir/protocol'
import type { Clock, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { Bus } from './ports.ts'

/** A live node and its load. */
export interface NodeLoad {
  readonly node: string
  readonly version: string
  /** Wall time, milliseconds since 1970. */
  readonly since: number
  readonly level: Level
  readonly connections: number
  /** The 99th percentile of its recent event loop delay, in milliseconds. */
  readonly delay: number
}

/** The live nodes that this node knows. */
export interface Presence {
  /** In the order in which they came, including this node. */
  all(): readonly NodeLoad[]
  /** Announces that this node leaves. */
  close(): void
}

export interface PresenceParts {
  readonly node: string
  /** Of the gateway. */
  readonly version: string
  /** The bus to the other nodes; undefined if there are none. */
  readonly bus: Pick<Bus, 'broadcast' | 'onBroadcast'> | undefined
  readonly clock: Clock
  readonly emit: Emit
  readonly level: () => Level
  readonly connections: () => number
}

/** How often a node announces itself, and after what silence it counts as gone. Milliseconds. */
const BEAT = 2000
const GONE = 3.5 * BEAT

const CHANNEL = 'nodes'

/**
 * Presence by broadcasts on the bus: nothing is stored. Only what operators see depends on it. The budget has its own list of nodes, which
 * changes together with the windows.
 */
export function createPresence({ node, version, bus, clock, emit, level, connections }: PresenceParts): Presence {
  const since = clock.now()
  const others = new Map<string, { readonly load: NodeLoad; readonly heardAt: number }>()
  const late = monitorEventLoopDelay()
  late.enable()
  let delay = 0
  let told = 1
  let beating: Timer | undefined
  const stop = bus?.onBroadcast(CHANNEL, (word) => {
    // This node listens from now on, perhaps after an interruption. The others may have missed its announcements too.
    if (word === '') say(self())
    else hear(JSON.parse(word))
  })
  beat()

  function self(): NodeLoad {
    return { node, version, since, level: level(), connections: connections(), delay }
  }

  function say(word: NodeLoad | { readonly node: string }): void {
    bus?.broadcast(CHANNEL, JSON.stringify(word))
  }

  function hear(load: NodeLoad | { readonly node: string }): void {
    if (load.node === node) return
    if (!('since' in load)) others.delete(load.node)
    else {
      const known = others.has(load.node)
      others.set(load.node, { load, heardAt: clock.monotonic() })
      // A new node learns of this one at once, not with the next announcement.
      if (!known) say(self())
    }
    count()
  }

  function count(): void {
    for (const [name, { heardAt }] of others) if (clock.monotonic() - heardAt >= GONE) others.delete(name)
    if (told === others.size + 1) return
    told = others.size + 1
    emit({ type: 'nodes.counted', alive: told })
  }

  function beat(): void {
    delay = Math.round(late.percentile(99) / 1e5) / 10
    late.reset()
    if (bus !== undefined) {
      say(self())
      count()
    }
    beating = clock.after(BEAT, beat)
  }

  return {
    all() {
      count()
      return [self(), ...[...others.values()].map(({ load }) => load)].sort((a, b) => a.since - b.since)
    },
    close() {
      late.disable()
      beating?.stop()
      stop?.()
      say({ node })
    },
  }
}
