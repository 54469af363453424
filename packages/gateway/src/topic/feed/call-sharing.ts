import type { Bus } from '../../backend/ports.ts'
import type { Clock } from '../../clock.ts'

export interface CallSharingParts {
  readonly bus: Pick<Bus, 'broadcast' | 'onBroadcast'>
  /** Where the nodes that share a feed hear each other. */
  readonly channel: string
  /** This node, by a name that no other has. */
  readonly node: string
  readonly clock: Clock
  /** How many share a call. */
  readonly batch: number
  /** For how long what a node has said of itself is believed, in milliseconds. */
  readonly believed: () => number
}

/** Who asks for what would not fill a call. */
export interface Share {
  /** Topics of this node that another asks for in a call of its own. */
  readonly led: ReadonlySet<string>
  /** Topics of other nodes that fill a call of this one. */
  readonly lent: readonly string[]
}

/** What a node asks for beyond its full calls. */
interface Rest {
  readonly node: string
  readonly topics: readonly string[]
}

/**
 * Puts what nodes ask for into full calls, so that all together make as many as one that watched everything: each says what is left over
 * beyond its own full calls, and all work out alike who asks for it. Nobody waits for anybody: when a node is not heard of any more, the
 * others ask for their own again.
 */
export interface CallSharing {
  /** Says what this node asks for, and answers who asks for what is left over. */
  share(topics: readonly string[]): Share
  stop(): void
}

export function createCallSharing({ bus, channel, node, clock, batch, believed }: CallSharingParts): CallSharing {
  const others = new Map<string, Rest & { readonly heardAt: number }>()
  let said = false

  const stop = bus.onBroadcast(channel, (word) => {
    const rest = restIn(word)
    if (rest === undefined || rest.node === node) return
    if (rest.topics.length === 0) others.delete(rest.node)
    else others.set(rest.node, { ...rest, heardAt: clock.monotonic() })
  })

  function say(topics: readonly string[]): void {
    // That there is nothing is said once.
    if (topics.length === 0 && !said) return
    said = topics.length > 0
    bus.broadcast(channel, JSON.stringify([node, ...topics]))
  }

  return {
    share(topics) {
      const own: Rest = { node, topics: [...topics].sort().slice(topics.length - (topics.length % batch)) }
      say(own.topics)
      const since = clock.monotonic() - believed()
      for (const [name, { heardAt }] of others) if (heardAt < since) others.delete(name)
      const led = new Set<string>()
      const lent: string[] = []
      for (const call of callsOf([own, ...others.values()], batch)) {
        const isOurs = call[0]?.node === node
        for (const { topic } of call) {
          const isWatched = own.topics.includes(topic)
          if (isWatched && !isOurs) led.add(topic)
          else if (isOurs && !isWatched) lent.push(topic)
        }
      }
      return { led, lent }
    },

    stop() {
      say([])
      stop()
    },
  }
}

interface Wanted {
  readonly topic: string
  readonly node: string
}

/** What is left over, in full calls and a last one; the node whose topic is the first in a call makes it. */
function callsOf(rests: readonly Rest[], batch: number): readonly (readonly Wanted[])[] {
  const wanted = new Map<string, Wanted>()
  for (const { node, topics } of [...rests].sort((a, b) => (a.node < b.node ? -1 : 1))) {
    for (const topic of topics) if (!wanted.has(topic)) wanted.set(topic, { topic, node })
  }
  const all = [...wanted.values()]
  return Array.from({ length: Math.ceil(all.length / batch) }, (_, call) => all.slice(call * batch, (call + 1) * batch))
}

/** What a node said; undefined for what is no such word, as when some were missed. */
function restIn(word: string): Rest | undefined {
  if (word === '') return undefined
  const [node, ...topics]: readonly string[] = JSON.parse(word)
  return node === undefined ? undefined : { node, topics }
}
