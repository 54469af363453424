import type { Channel } from '../../hub/hub.ts'
import type { ReadKey } from '../key.ts'
import type { Follower } from './derived.ts'
import type { Polled } from './poller.ts'
import type { Settling } from './settling.ts'
import type { Failing } from './staleness.ts'

/**
 * A topic that a feed keeps up to date. Its state is made of independent facts:
 *
 * | fact                  | set by                                        | cleared by                             |
 * | --------------------- | --------------------------------------------- | -------------------------------------- |
 * | `forPeer`             | another node that watches it, in its stead    | the first listener of this node        |
 * | `mine`                | no claim of another node                      | a claim of another node                |
 * | `outdated`            | a push that names it, a poll that failed      | the start of the next poll             |
 * | `changedAt`           | a push that it changed, without its value     | a value pushed, or polled after it     |
 * | `pushed`, `taking`    | a pushed value, until it is stored            | its storage                            |
 * | `failing`, `failure`  | a poll or a push that failed                  | the next value                         |
 */
export interface Watched extends Polled {
  readonly readKey: ReadKey
  readonly channel: Channel
  /** The last moment at which it had a listener, on the monotonic clock. */
  seen: number
  /** The code of the failure that listeners were last sent, while there is no value. */
  failure: string | undefined
  /** The last pushed value, not stored yet. */
  pushed: { readonly value: unknown } | undefined
  /** Whether a pushed value is being stored. */
  taking: boolean
  /** It is polled only because another node watches it. */
  forPeer: boolean
  /** Whether no other node has claimed it. */
  mine: boolean
  /** It may have changed, and was not polled since. */
  outdated: boolean
  /** Since when it is known to have changed, until an answer to a later poll; on the monotonic clock. */
  changedAt: number | undefined
  /** Why the last poll failed. */
  failing: Failing | undefined
  /** Loaders that wait for the changed value. */
  readonly settling: Settling
  /** Values of this app that are made of it. */
  readonly followers: Set<Follower>
  readonly unsubscribe: () => void
}
