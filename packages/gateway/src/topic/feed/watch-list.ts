import type { Bus } from '../../backend/ports.ts'
import type { Clock } from '../../clock.ts'
import type { Stored } from '../../entry.ts'
import type { Channel, Hub, Listener } from '../../hub/hub.ts'
import type { ReadKey } from '../key.ts'
import type { ReadPath } from '../read-path.ts'
import type { FeedPlan } from './feed.ts'
import { polled } from './poller.ts'
import { SentVersions } from './sent-versions.ts'
import { Settling } from './settling.ts'
import type { Watched } from './watched.ts'

export interface WatchListParts {
  readonly plan: FeedPlan
  readonly path: Pick<ReadPath, 'kept'>
  readonly hub: Hub
  readonly bus: Bus
  readonly clock: Clock
  /** Called when a topic is new in the list, with its cached value shown already. */
  readonly begun: (watched: Watched) => void
  /** Called with each version that this or another node stores. */
  readonly arrived: (watched: Watched, stored: Stored) => void
  /** Called when a topic has left the list. */
  readonly ended: (watched: Watched) => void
}

/** The topics that a feed keeps up to date: those with listeners or followers, and for its linger time each that had some. */
export class WatchList {
  readonly #parts: WatchListParts
  readonly #topics = new Map<string, Watched>()
  /** Topics that are watched for those who listen to the whole feed. */
  readonly #always = new Set<string>()
  /** The channel of those who listen to the whole feed. */
  readonly #everything: Channel
  readonly #sent = new SentVersions()

  constructor(parts: WatchListParts) {
    this.#parts = parts
    this.#everything = parts.hub.channel(parts.plan.path)
  }

  get size(): number {
    return this.#topics.size
  }

  get(topic: string): Watched | undefined {
    return this.#topics.get(topic)
  }

  values(): MapIterator<Watched> {
    return this.#topics.values()
  }

  /** The topic in the list; it is put there when it is not. `forPeer`: only for another node. */
  watch(readKey: ReadKey, forPeer = false): Watched {
    const known = this.#topics.get(readKey.topic)
    if (known !== undefined) return known
    const { hub, bus, path, clock, plan, arrived, begun } = this.#parts
    // Listeners of the whole feed are sent public values only.
    const channel = hub.channel(readKey.topic, plan.scope === 'public' ? this.#everything : undefined)
    const unsubscribe = bus.subscribe(readKey.topic, (stored) => arrived(watched, stored))
    const watched: Watched = {
      ...{ ...polled(), readKey, channel, seen: clock.monotonic(), failure: undefined, unsubscribe },
      ...{ pushed: undefined, taking: false, outdated: false, changedAt: undefined, failing: undefined },
      ...{ forPeer, mine: true, settling: new Settling(), followers: new Set() },
    }
    this.#topics.set(readKey.topic, watched)
    const kept = path.kept(readKey.topic)
    if (kept !== undefined) hub.publish(channel, kept, this.#sent.wasSent(kept))
    begun(watched)
    return watched
  }

  /** The listener hears every public topic of the list. */
  join(listener: Listener, always: readonly Watched[]): void {
    for (const { readKey } of always) this.#always.add(readKey.topic)
    const { hub } = this.#parts
    this.#sent.joined()
    hub.join(listener, this.#everything, undefined)
    for (const { channel } of this.#topics.values()) hub.show(listener, channel)
  }

  /** All of the list, without the topics whose linger time is over: these leave it. */
  lingering(): Iterable<Watched> {
    const now = this.#parts.clock.monotonic()
    for (const watched of this.#topics.values()) {
      watched.seen = this.lastSeen(watched, now)
      if (this.#isHeard(watched) || watched.followers.size > 0) continue
      if (now - watched.seen >= this.#parts.plan.linger) this.#end(watched)
    }
    return this.#topics.values()
  }

  /**
   * When it last had a listener, or a value that is made of it had one: a derived value that only lingers does not make its parts linger.
   */
  lastSeen(watched: Watched, now: number): number {
    if (this.#isHeard(watched)) return now
    let latest = watched.seen
    for (const follower of watched.followers) latest = Math.max(latest, follower.seen())
    return latest
  }

  /** Ends all, and returns their topics. */
  clear(): readonly string[] {
    const topics = [...this.#topics.keys()]
    for (const { unsubscribe } of this.#topics.values()) unsubscribe()
    this.#topics.clear()
    return topics
  }

  #end(watched: Watched): void {
    const { channel, readKey, unsubscribe } = watched
    const { hub, ended } = this.#parts
    unsubscribe()
    this.#topics.delete(readKey.topic)
    ended(watched)
    this.#sent.ended(readKey.topic, channel.latest, this.#everything.listeners.size)
    hub.drop(channel)
  }

  #isHeard({ channel, readKey }: Watched): boolean {
    if (channel.listeners.size > 0) return true
    return this.#always.has(readKey.topic) && this.#everything.listeners.size > 0
  }
}
