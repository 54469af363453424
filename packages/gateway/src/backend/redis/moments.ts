import type { Clock } from '../../clock.ts'
import type { Topology } from './topology.ts'

/**
 * Moments are kept by the clocks of the Redis servers, which all nodes share, and read by this node's own. No two clocks need to agree:
 * each reply says what time it is there, and its server read that between the request and the reply.
 */
export interface Moments {
  /** The server of a key said what time it is there, after `asked` on this node's wall clock; of a message, that is not known. */
  learn(key: string, there: number, asked?: number): void
  /** A moment of the server of a key, by this node's wall clock. */
  here(key: string, moment: number): number
  /** The same the other way. */
  there(key: string, moment: number): number
}

export function redisMoments(shards: Pick<Topology, 'of'>, clock: Clock): Moments {
  /** Milliseconds by which each server's clock is ahead of this node's. It moves only when a reply shows that it is wrong, so that a moment stays the same. */
  const ahead = new Map<string, number>()
  const of = (key: string) => ahead.get(shards.of(key)) ?? 0
  return {
    learn(key, there, asked = Number.NEGATIVE_INFINITY) {
      const now = clock.now()
      // Where this node's clock was set back meanwhile, the reply says nothing.
      if (now < asked) return
      const known = of(key)
      const right = Math.min(Math.max(known, there - now), there - asked)
      if (right !== known) ahead.set(shards.of(key), right)
    },
    // What was dropped was never confirmed, by any clock.
    here: (key, moment) => (moment === 0 ? 0 : moment - of(key)),
    there: (key, moment) => (moment === 0 ? 0 : moment + of(key)),
  }
}
