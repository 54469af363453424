import type { Problem } from '@weir/protocol'
import type { Clock } from '../../clock.ts'
import type { Emit } from '../../events.ts'
import type { PushListener, PushSource } from '../../upstream/push/push.ts'
import { OriginValue } from '../../upstream/weir/origin-value.ts'
import type { ReadPath } from '../read-path.ts'
import { type FeedPlan, isAbsent } from './feed.ts'
import type { StalenessTracker } from './staleness-tracker.ts'
import type { Watched } from './watched.ts'

export interface PushIntakeParts {
  readonly plan: FeedPlan
  readonly path: Pick<ReadPath, 'put' | 'holds'>
  readonly clock: Clock
  readonly emit: Emit
  readonly watched: (topic: string) => Watched | undefined
  readonly staleness: StalenessTracker
  readonly push: () => PushSource | undefined
  /** Polls a topic now. */
  readonly poll: (watched: Watched) => void
  /** Sends a failure to listeners that have no value. */
  readonly failed: (watched: Watched, problem: Problem) => void
}

/** Takes what a push source says: new values are stored, changes without a value are polled, and confirmations move the age. */
export class PushIntake implements PushListener {
  readonly #parts: PushIntakeParts

  constructor(parts: PushIntakeParts) {
    this.#parts = parts
  }

  topicOf(key: unknown): string {
    return this.#parts.plan.keys.fromParts(key as Readonly<Record<string, unknown>>).topic
  }

  began(topic: string): void {
    this.outdate(topic)
  }

  /** The value changed: it is stale unless the new one comes in time. */
  changed(topic: string): void {
    const watched = this.#parts.watched(topic)
    if (watched === undefined) return
    watched.changedAt ??= this.#parts.clock.monotonic()
    this.outdate(topic)
  }

  came(topic: string, value: unknown): void {
    const watched = this.#parts.watched(topic)
    if (watched === undefined) return
    watched.failure = undefined
    if (!(value instanceof OriginValue) && this.#isOlder(watched, value)) return
    watched.pushed = { value }
    if (watched.changedAt !== undefined) this.settle(watched)
    this.#store(watched)
  }

  confirmed(topic: string, version: string, checkedAt: number): void {
    const { watched: watchedAt, path, clock, staleness } = this.#parts
    const watched = watchedAt(topic)
    const latest = watched?.channel.latest
    if (watched === undefined || latest === undefined) return
    if (latest.versionText === version) {
      path.holds(topic)
      const age = Math.max(0, clock.now() - checkedAt)
      latest.confirm({ checkedAt, absentFor: latest.content.absentFor }, clock.monotonic() - age)
    } else if (!watched.taking && watched.pushed === undefined) this.changed(topic)
    staleness.update(watched)
  }

  failed(topic: string, problem: Problem): void {
    const watched = this.#parts.watched(topic)
    if (watched !== undefined) this.#parts.failed(watched, problem)
  }

  /** The value may have changed: it is polled, since the answer to a poll under way may be from before. */
  outdate(topic: string): void {
    const watched = this.#parts.watched(topic)
    if (watched === undefined) return
    watched.outdated = true
    if (!watched.asking) this.#parts.poll(watched)
  }

  /** The changed value is known. */
  settle(watched: Watched): void {
    watched.changedAt = undefined
    watched.settling.over()
  }

  /** A value that is pushed when it changes has not changed, as of the moment at which its source was last heard. */
  confirm(watched: Watched): void {
    const { outdated, asking } = watched
    const { latest } = watched.channel
    const push = this.#parts.push()
    if (latest === undefined || !push?.hears(latest.topic)) return
    // It is pushed: how long it was not polled says nothing.
    watched.gap = 0
    watched.ended = Number.NEGATIVE_INFINITY
    // It is being polled, or is to be; and a source that says how old its values are is believed in that.
    if (outdated || asking || latest.absent || push.tells(latest.topic)) return
    // Dropped, or from before the connection: only an answer confirms it.
    if (latest.confirmedAt === Number.NEGATIVE_INFINITY) return
    const { clock } = this.#parts
    const heardAt = push.heardAt(latest.topic)
    latest.confirm(
      { checkedAt: Math.round(clock.now() - (clock.monotonic() - heardAt)), absentFor: latest.content.absentFor },
      heardAt,
      push.said?.(latest.topic, latest.versionText)?.from,
    )
  }

  /** True when a pushed value's own order is lower than the latest one: it arrived late. */
  #isOlder({ channel: { latest }, pushed }: Watched, value: unknown): boolean {
    const { freshness, order = freshness.asOf } = this.#parts.plan
    const known = pushed?.value ?? latest?.value
    if (order === undefined || known === undefined || isAbsent(known) || isAbsent(value)) return false
    const [then, now] = [order(value), order(known)]
    return then !== undefined && now !== undefined && then < now
  }

  /** Stores pushed values one after the other, of several that wait the last. It replaces the answer to a poll under way, which is older. */
  #store(watched: Watched): void {
    const { pushed } = watched
    if (pushed === undefined || watched.taking) return
    watched.pushed = undefined
    watched.taking = true
    const { path, emit, plan } = this.#parts
    const { topic } = watched.readKey
    path
      .put(topic, pushed.value)
      .then((stored) => {
        // Another node is loading it at this moment, and may get less.
        if (stored === undefined) this.changed(topic)
      })
      .catch((error) => emit({ type: 'failed', where: `push of ${plan.name}: ${topic}`, error }))
      .finally(() => {
        watched.taking = false
        this.#store(watched)
      })
  }
}
