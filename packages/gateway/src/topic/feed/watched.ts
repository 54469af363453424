import type { Channel } from '../../hub/hub.ts'
import type { ReadKey } from '../key.ts'
import type { Follower } from './derived.ts'
import type { Polled } from './poller.ts'
import type { Settling } from './settling.ts'
import type { Failing } from './staleness.ts'

/** A topic that a feed keeps moving. */
export interface Watched extends Polled {
  readonly readKey: ReadKey
  readonly channel: Channel
  /** Moment on the monotonic clock at which somebody last listened. */
  seen: number
  /** The failure that listeners were last told of, while there is no value. */
  failure: string | undefined
  /** What was pushed last and is not taken yet. */
  pushed: { readonly value: unknown } | undefined
  /** Whether that is under way. */
  taking: boolean
  /** It is asked for because another node watches it. */
  lent: boolean
  /** Whether no other node has claimed it. */
  mine: boolean
  /** What it is now may be another, and was not asked for since. */
  outdated: boolean
  /** When it was said to be another now, until an answer to a later question; on the monotonic clock. */
  changedAt: number | undefined
  /** Why it could not be had when it was asked for last. */
  failing: Failing | undefined
  /** Loaders that wait for what it is now. */
  readonly settling: Settling
  /** Feeds of this app that are made of it. */
  readonly followers: Set<Follower>
  readonly unsubscribe: () => void
}
