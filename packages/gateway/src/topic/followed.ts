import type { Clock } from '../clock.ts'
import type { PushListener, PushSource } from '../upstream/push.ts'
import type { FeedPlan } from './feed.ts'
import type { ReadKey } from './key.ts'

export interface FollowedParts {
  readonly follows: NonNullable<FeedPlan['follows']>
  /** How often a value is made anew although nothing changed, in milliseconds. */
  readonly every: number
  readonly listener: PushListener
  readonly clock: Clock
  /** Keeps a value of the feed at this path moving, and tells of its changes until what it answers is called. */
  readonly follow: (path: string, readKey: ReadKey, changed: () => void) => () => void
}

/** Values made of others, as what is told of by those: they are to be made anew when one of them changes. */
export function createFollowed({ follows, every, listener, clock, follow }: FollowedParts): PushSource {
  const followed = new Map<string, readonly (() => void)[]>()

  function leave(topic: string): void {
    for (const stop of followed.get(topic) ?? []) stop()
    followed.delete(topic)
  }

  return {
    follow(topic, key) {
      const changed = () => listener.changed(topic)
      followed.set(
        topic,
        follows(key).map(({ feed, readKey }) => follow(feed.path, readKey, changed)),
      )
    },
    leave,
    hears: (topic) => followed.has(topic),
    // They are at hand; how old they are the value says itself.
    get heardAt() {
      return clock.monotonic()
    },
    confirm: every,
    tells: () => false,
    stop() {
      for (const topic of [...followed.keys()]) leave(topic)
    },
  }
}
