import type { Clock, Timer } from '../../clock.ts'
import type { PushListener, PushSource } from '../../upstream/push/push.ts'
import type { ReadKey } from '../key.ts'
import type { DependencyPlan } from './feed.ts'

/** A value that another is made of, as long as it is followed. */
export interface Following {
  /** The moment its age is counted from, on the monotonic clock. */
  readonly since: number
  /** From when on it is older than its feed allows, on the same clock. */
  readonly staleFrom: number
  stop(): void
}

/** A value of this app that is made of another. */
export interface Follower {
  /** What it is made of has another value, or may have. */
  changed(): void
  /** When somebody last listened to it, on the monotonic clock. */
  seen(): number
  /** What it is made of is stale now, or is no more. */
  judged?(stale: boolean): void
}

export interface DerivedParts {
  readonly dependsOn: DependencyPlan
  readonly listener: PushListener
  readonly clock: Clock
  /** Keeps a value of the feed at this path moving, and tells of its changes. */
  readonly follow: (path: string, readKey: ReadKey, follower: Follower) => Following
}

/** Values made of others, as what is told of by those: they are to be made anew when one of them changes. */
export function createDerived({ dependsOn, listener, clock, follow }: DerivedParts): PushSource {
  const followed = new Map<string, readonly Following[]>()
  /** Of those that wait for what belongs to a change. */
  const waiting = new Map<string, Timer>()

  function oldest(topic: string): number {
    const parts = followed.get(topic) ?? []
    return parts.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...parts.map(({ since }) => since))
  }

  function changed(topic: string): void {
    if (waiting.has(topic)) return
    const over = () => {
      waiting.delete(topic)
      listener.changed(topic)
    }
    if (dependsOn.within === 0) over()
    else waiting.set(topic, clock.after(dependsOn.within, over))
  }

  function leave(topic: string): void {
    waiting.get(topic)?.stop()
    waiting.delete(topic)
    for (const part of followed.get(topic) ?? []) part.stop()
    followed.delete(topic)
  }

  return {
    follow(topic, key, seen) {
      const follower: Follower = { changed: () => changed(topic), seen }
      const parts = dependsOn.parts(key)
      followed.set(
        topic,
        parts.map(({ feed, readKey }) => follow(feed.path, readKey, follower)),
      )
      // What is kept may have been made of what they were before they were watched.
      listener.began(topic)
    },
    leave,
    hears: (topic) => followed.has(topic),
    heardAt: oldest,
    // As long as none of what it is made of is stale, it is not, however long ago it was made.
    said(topic) {
      const parts = followed.get(topic)
      if (parts === undefined) return undefined
      return { stale: false, at: oldest(topic), from: Math.min(...parts.map(({ staleFrom }) => staleFrom)) }
    },
    revalidateEvery: dependsOn.revalidateEvery,
    tells: () => false,
    stop() {
      for (const topic of [...followed.keys()]) leave(topic)
    },
  }
}
