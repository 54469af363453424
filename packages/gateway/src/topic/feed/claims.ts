import type { Bus, Leases } from '../../backend/ports.ts'
import type { MaybePromise } from '../../call.ts'
import type { Clock } from '../../clock.ts'
import type { Emit } from '../../events.ts'
import { type CallSharing, createCallSharing } from './call-sharing.ts'
import type { FeedPlan } from './feed.ts'
import type { WatchList } from './watch-list.ts'
import type { Watched } from './watched.ts'

export interface ClaimsParts {
  readonly plan: FeedPlan
  readonly bus: Bus
  readonly leases: Pick<Leases, 'claim'>
  /** This node, as leases name it. */
  readonly node: string
  readonly clock: Clock
  readonly emit: Emit
  /** How often a watched value is polled, in milliseconds. */
  readonly every: () => number
  readonly watched: WatchList
  /** Whether values are pushed. */
  readonly pushed: boolean
}

/** Intervals for which a claim holds: a node that stops polling is missed after two. */
const CLAIMED = 2.2

/** Which of the nodes that watch a topic polls it. */
export class Claims {
  readonly #parts: ClaimsParts
  readonly #sharing: CallSharing | undefined

  constructor(parts: ClaimsParts) {
    this.#parts = parts
    const { plan, bus, node, clock, every, pushed } = parts
    // Scoped values can't be loaded by another node; pushed ones are polled too rarely to be worth sharing.
    if (plan.batch > 1 && plan.scope === 'public' && !pushed) {
      this.#sharing = createCallSharing({
        ...{ bus, channel: `partition ${plan.path}`, node, clock, batch: plan.batch },
        believed: () => CLAIMED * every(),
      })
    }
  }

  /** Of these topics, those that this node polls; and others that it polls for other nodes, in calls that it makes anyway. */
  claim(due: readonly Watched[]): MaybePromise<readonly Watched[]> {
    if (due.length === 0) return this.#share(due)
    const { plan, leases, node, every } = this.#parts
    const topics = due.map(({ readKey: { topic } }) => topic)
    const claimed = (mine: readonly boolean[]) => {
      for (const [index, watched] of due.entries()) watched.mine = mine[index] ?? true
      return this.#share(due.filter(({ mine }) => mine))
    }
    const mine = leases.claim(plan.path, topics, node, CLAIMED * every())
    return mine instanceof Promise ? mine.then(claimed) : claimed(mine)
  }

  stop(): void {
    this.#sharing?.stop()
  }

  /** Leaves topics to other nodes. */
  async release(topics: readonly string[]): Promise<void> {
    const { plan, leases, node } = this.#parts
    if (topics.length > 0) await leases.claim(plan.path, topics, node, 0)
  }

  #share(ours: readonly Watched[]): readonly Watched[] {
    if (this.#sharing === undefined) return ours
    const { clock, every, watched } = this.#parts
    const own = [...watched.values()].filter(({ mine, forPeer }) => mine && !forPeer)
    const { delegated, adopted } = this.#sharing.share(own.map(({ readKey: { topic } }) => topic))
    // The node that is to poll a topic may not know: one that stays unconfirmed for two intervals is polled here.
    const late = clock.monotonic() - 2 * every()
    const isPolledElsewhere = ({ channel: { latest } }: Watched) =>
      latest !== undefined && delegated.has(latest.topic) && latest.confirmedAt > late
    const polled = ours.filter((watched) => !isPolledElsewhere(watched))
    // Topics of other nodes fill a call, and are no reason for one that this node was not allotted.
    return polled.length === 0 ? polled : [...polled, ...adopted.flatMap((topic) => this.#startForPeer(topic))]
  }

  /** A topic that another node watches; none where it is watched here too, or is not of this feed. */
  #startForPeer(topic: string): readonly Watched[] {
    const { plan, clock, emit, watched: list } = this.#parts
    try {
      const watched = list.get(topic) ?? list.watch(plan.keys.fromTopic(topic), true)
      if (!watched.forPeer || watched.asking) return []
      watched.seen = clock.monotonic()
      return [watched]
    } catch (error) {
      emit({ type: 'failed', where: `partition of ${plan.name}: ${topic}`, error })
      return []
    }
  }
}
