import type { Bus } from '../../backend/ports.ts'
import type { Clock } from '../../clock.ts'

export interface CallSharingParts {
  readonly bus: Pick<Bus, 'broadcast' | 'onBroadcast'>
  /** The channel of the nodes that share a feed. */
  readonly channel: string
  /** The unique name of this node. */
  readonly node: string
  readonly clock: Clock
  /** The most topics of a call. */
  readonly batch: number
  /** How long the topics of a node count after it broadcast them, in milliseconds. */
  readonly believed: () => number
}

/** Which node polls the topics that would not fill a call. */
export interface Share {
  /** Topics of this node that another one polls in a call of its own. */
  readonly delegated: ReadonlySet<string>
  /** Topics of other nodes that fill a call of this one. */
  readonly adopted: readonly string[]
}

/** The topics that a node polls beyond its full calls. */
interface Remainder {
  readonly node: string
  readonly topics: readonly string[]
}

/**
 * Puts the topics of all nodes into full calls, so that together they make as many as one node that watched everything: each broadcasts the topics
 * beyond its own full calls, and all compute alike which node polls them. No node waits for another: the topics of one that is silent for too long
 * are polled by the others again.
 */
export interface CallSharing {
  /** Broadcasts the topics that this node polls, and says which node polls those beyond full calls. */
  share(topics: readonly string[]): Share
  stop(): void
}

export function createCallSharing({ bus, channel, node, clock, batch, believed }: CallSharingParts): CallSharing {
  const others = new Map<string, Remainder & { readonly receivedAt: number }>()
  let hasTopics = false

  const stop = bus.onBroadcast(channel, (message) => {
    const remainder = readRemainder(message)
    if (remainder === undefined || remainder.node === node) return
    if (remainder.topics.length === 0) others.delete(remainder.node)
    else others.set(remainder.node, { ...remainder, receivedAt: clock.monotonic() })
  })

  function broadcast(topics: readonly string[]): void {
    // That there are none is sent once.
    if (topics.length === 0 && !hasTopics) return
    hasTopics = topics.length > 0
    bus.broadcast(channel, JSON.stringify([node, ...topics]))
  }

  return {
    share(topics) {
      const own: Remainder = { node, topics: [...topics].sort().slice(topics.length - (topics.length % batch)) }
      broadcast(own.topics)
      const since = clock.monotonic() - believed()
      for (const [name, { receivedAt }] of others) if (receivedAt < since) others.delete(name)
      const delegated = new Set<string>()
      const adopted: string[] = []
      for (const call of callsOf([own, ...others.values()], batch)) {
        const isOurs = call[0]?.node === node
        for (const { topic } of call) {
          const isWatched = own.topics.includes(topic)
          if (isWatched && !isOurs) delegated.add(topic)
          else if (isOurs && !isWatched) adopted.push(topic)
        }
      }
      return { delegated, adopted }
    },

    stop() {
      broadcast([])
      stop()
    },
  }
}

interface Wanted {
  readonly topic: string
  readonly node: string
}

/** The remainders in full calls and a last one. The node of the first topic in a call makes it. */
function callsOf(remainders: readonly Remainder[], batch: number): readonly (readonly Wanted[])[] {
  const wanted = new Map<string, Wanted>()
  for (const { node, topics } of [...remainders].sort((a, b) => (a.node < b.node ? -1 : 1))) {
    for (const topic of topics) if (!wanted.has(topic)) wanted.set(topic, { topic, node })
  }
  const all = [...wanted.values()]
  return Array.from({ length: Math.ceil(all.length / batch) }, (_, call) => all.slice(call * batch, (call + 1) * batch))
}

/** The remainder of a node; undefined for the empty message that says that some were missed. */
function readRemainder(message: string): Remainder | undefined {
  if (message === '') return undefined
  const [node, ...topics]: readonly string[] = JSON.parse(message)
  return node === undefined ? undefined : { node, topics }
}
