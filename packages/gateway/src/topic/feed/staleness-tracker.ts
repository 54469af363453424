import type { Clock } from '../../clock.ts'
import type { Entry } from '../../entry.ts'
import type { Emit } from '../../events.ts'
import type { Hub } from '../../hub/hub.ts'
import type { PushSource } from '../../upstream/push/push.ts'
import type { ReadPath } from '../read-path.ts'
import type { FeedPlan } from './feed.ts'
import { type Facts, staleFrom, staleReason } from './staleness.ts'
import type { Watched } from './watched.ts'

export interface StalenessTrackerParts {
  readonly plan: FeedPlan
  readonly path: Pick<ReadPath, 'freshUntil'>
  readonly hub: Hub
  readonly clock: Clock
  readonly emit: Emit
  /** How often a watched value is polled, in milliseconds. */
  readonly every: () => number
  readonly watched: (topic: string) => Watched | undefined
  readonly push: () => PushSource | undefined
}

/** Collects the facts by which values are stale, and tells listeners, followers and operators when that changes. */
export class StalenessTracker {
  readonly #parts: StalenessTrackerParts

  constructor(parts: StalenessTrackerParts) {
    this.#parts = parts
  }

  /** From when on an entry is stale unless it is confirmed, on the monotonic clock. */
  staleFrom(entry: Entry): number {
    return staleFrom(this.#facts(entry))
  }

  isStale(entry: Entry): boolean {
    return this.#parts.clock.monotonic() > this.staleFrom(entry)
  }

  /** Tells when the latest value of a topic has become stale, or is so no more. */
  update({ channel, followers }: Watched): void {
    if (channel.latest === undefined) return
    const stale = this.isStale(channel.latest)
    if (stale === channel.stale) return
    this.#parts.hub.setStale(channel, stale)
    for (const follower of followers) follower.stalenessChanged?.(stale)
    const now = this.#parts.clock.monotonic()
    this.#report(channel.topic, stale ? staleReason(this.#facts(channel.latest), now) : undefined)
  }

  /** It is not watched any more, so it is not stale for operators. */
  end({ channel }: Watched): void {
    if (channel.stale) this.#report(channel.topic, undefined)
  }

  #report(topic: string, reason: string | undefined): void {
    const { emit, plan } = this.#parts
    emit({ type: 'topic.stale', feed: plan.name, topic, stale: reason !== undefined, ...(reason && { reason }) })
  }

  #facts(entry: Entry): Facts {
    const { plan, path, every, watched, push } = this.#parts
    const known = watched(entry.topic)
    const { gap = 0, outdated = false, changedAt, failing } = known ?? {}
    const said = push()?.said?.(entry.topic, entry.versionText)
    // Until an origin says otherwise its value is not stale, however long ago it was checked there.
    const unsaid = said === undefined || outdated || entry.confirmedAt === Number.NEGATIVE_INFINITY
    return {
      freshUntil: path.freshUntil(entry),
      held: unsaid ? 0 : Math.max(0, said.at - entry.since),
      every: every(),
      // Of a value that was only read, the time of that one answer is known.
      took: known?.took ?? Math.max(0, entry.cameAt - entry.askedAt),
      // A value of an origin is left alone because it is pushed, never for want of calls.
      gap: plan.upstream?.origin === undefined ? gap : 0,
      changedAt,
      failing,
      refuted: said?.stale === true,
      // The parts of a derived value are watched with it: how they are now counts, not how they were when they were read.
      partsFrom: said?.from ?? entry.staleFrom,
    }
  }
}
