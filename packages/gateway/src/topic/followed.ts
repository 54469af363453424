import type { PushListener, PushSource } from '../upstream/push.ts'
import type { FeedPlan } from './feed.ts'
import type { ReadKey } from './key.ts'

/** A value that another is made of, as long as it is followed. */
export interface Following {
  /** The moment its age is counted from, on the monotonic clock. */
  readonly since: number
  stop(): void
}

export interface FollowedParts {
  readonly follows: NonNullable<FeedPlan['follows']>
  /** How often a value is made anew although nothing changed, in milliseconds. */
  readonly every: number
  readonly listener: PushListener
  /** Keeps a value of the feed at this path moving, and tells of its changes. */
  readonly follow: (path: string, readKey: ReadKey, changed: () => void) => Following
}

/** Values made of others, as what is told of by those: they are to be made anew when one of them changes. */
export function createFollowed({ follows, every, listener, follow }: FollowedParts): PushSource {
  const followed = new Map<string, readonly Following[]>()

  function leave(topic: string): void {
    for (const part of followed.get(topic) ?? []) part.stop()
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
    heardAt(topic) {
      const [first, ...others] = followed.get(topic) ?? []
      return others.reduce((oldest, { since }) => Math.min(oldest, since), first?.since ?? Number.NEGATIVE_INFINITY)
    },
    confirm: every,
    tells: () => false,
    stop() {
      for (const topic of [...followed.keys()]) leave(topic)
    },
  }
}
