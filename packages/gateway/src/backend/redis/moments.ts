import type { Clock } from '../../clock.ts'
import type { Topology } from './topology.ts'

/**
 * Moments are stored by the clocks of the Redis servers, which all nodes share, and read by this node's clock. No two clocks need to agree:
 * each reply has the server's time, read between request and reply.
 */
export interface Moments {
  /** The server of a key sent its time, read after `asked` on this node's wall clock. For a message, that moment is unknown. */
  learn(key: string, there: number, asked?: number): void
  /** A moment of the server of a key, by this node's wall clock. */
  here(key: string, moment: number): number
  /** The same the other way. */
  there(key: string, moment: number): number
}

export function redisMoments(shards: Pick<Topology, 'of'>, clock: Clock): Moments {
  /** Milliseconds by which each server's clock is ahead of this node's. It changes only if a reply proves it wrong, so that moments stay the same. */
  const ahead = new Map<string, number>()
  const of = (key: string) => ahead.get(shards.of(key)) ?? 0
  return {
    learn(key, there, asked = Number.NEGATIVE_INFINITY) {
      const now = clock.now()
      // If this node's clock was set back meanwhile, the reply proves nothing.
      if (now < asked) return
      const known = of(key)
      const right = Math.min(Math.max(known, there - now), there - asked)
      if (right !== known) ahead.set(shards.of(key), right)
    },
    // A dropped value was never confirmed, by any clock.
    here: (key, moment) => (moment === 0 ? 0 : moment - of(key)),
    there: (key, moment) => (moment === 0 ? 0 : moment + of(key)),
  }
}
