import { START_OVER_AFTER } from '@weir/protocol'
import type { Clock } from '../clock.ts'
import { compareNews } from '../entry.ts'
import type { Emit } from '../events.ts'
import type { Values } from './ports.ts'

export interface Restarts {
  readonly values: Values
  /** The origin confirms what is kept of a topic. */
  holds(topic: string): void
}

/** The most topics of which a refusal is remembered. */
const MOST = 10_000

/**
 * Values of an origin whose epochs may go back, as after a roll-back, or once a clock that ran ahead is right again. A version of another lineage
 * that is smaller than what is kept is refused, until nothing else was accepted for as long as clients wait too. Then it takes the place of
 * what is kept, and the lineage that was left is refused from then on. Within one lineage versions only rise.
 */
export function withRestarts(
  values: Values,
  { feed, clock, emit }: { feed: string; clock: Clock; emit: Emit },
): Restarts {
  /** Since when a topic is refused, on the monotonic clock. */
  const refused = new Map<string, number>()
  return {
    holds: (topic) => void refused.delete(topic),
    values: {
      get lineage() {
        return values.lineage
      },
      read: (topic) => values.read(topic),
      expire: (topic) => values.expire(topic),
      async publish(topic, publication) {
        const kept = await values.publish(topic, publication)
        const { stamp } = publication.content
        if (stamp?.lineage === undefined || kept === undefined) return kept
        if (kept.lineage === undefined || kept.lineage === stamp.lineage || compareNews(stamp, kept) >= 0) {
          refused.delete(topic)
          return kept
        }
        const now = clock.monotonic()
        const since = refused.get(topic)
        if (since === undefined) {
          refused.set(topic, now)
          const [eldest] = refused.size > MOST ? refused.keys() : []
          if (eldest !== undefined) refused.delete(eldest)
        }
        if (now - (since ?? now) < START_OVER_AFTER) return kept
        refused.delete(topic)
        emit({ type: 'topic.restarted', feed, topic })
        const content = { ...publication.content, stamp: { ...stamp, over: kept.lineage } }
        return values.publish(topic, { ...publication, content })
      },
    },
  }
}
