import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Level } from '@weir/protocol'
import type { Clock, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { Bus } from './ports.ts'

/** A node that is alive, and how it is. */
export interface NodeLoad {
  readonly node: string
  readonly version: string
  /** Wall time, milliseconds since 1970. */
  readonly since: number
  readonly level: Level
  readonly connections: number
  /** The longest that its event loop was late of late, in milliseconds: 99 times of 100 it was less. */
  readonly delay: number
}

/** Who is alive, as this node knows. */
export interface Presence {
  /** By when they came, this node among them. */
  all(): readonly NodeLoad[]
  /** Tells the others that it goes. */
  close(): void
}

export interface PresenceParts {
  readonly node: string
  /** Of the gateway. */
  readonly version: string
  /** What carries words to the others; undefined where there are no others. */
  readonly bus: Pick<Bus, 'broadcast' | 'onBroadcast'> | undefined
  readonly clock: Clock
  readonly emit: Emit
  readonly level: () => Level
  readonly connections: () => number
}

/** A node says how it is so often, and one that was not heard for so long is gone. Milliseconds. */
const BEAT = 2000
const GONE = 3.5 * BEAT

const CHANNEL = 'nodes'

/**
 * Presence by words on the bus: nothing is kept for those who are not here. Nothing depends on it but what operators see; the budget has its
 * own list of nodes, which changes with the windows and not beside them.
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
    // It is heard from now on, perhaps after a break: the others may have missed it too.
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
      // Who comes is not left to wait for the next beat of all.
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
