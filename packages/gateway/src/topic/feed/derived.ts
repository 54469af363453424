import type { Clock, Timer } from '../../clock.ts'
import type { PushListener, PushSource } from '../../upstream/push/push.ts'
import type { ReadKey } from '../key.ts'
import type { DependencyPlan } from './feed.ts'

/** A value of which another is made, while it is followed. */
export interface Following {
  /** The moment its age is counted from, on the monotonic clock. */
  readonly since: number
  /** From when on it is older than its feed allows, on the same clock. */
  readonly staleFrom: number
  stop(): void
}

/** A derived value of this app, or a log that depends on a value. */
export interface Follower {
  /** The value has changed, or may have. */
  changed(): void
  /** When the follower last had a listener, on the monotonic clock. */
  seen(): number
  /** The value has become stale, or is so no more. */
  stalenessChanged?(stale: boolean): void
}

export interface DerivedParts {
  readonly dependsOn: DependencyPlan
  readonly listener: PushListener
  readonly clock: Clock
  /** Keeps a value of the feed at this path up to date, and calls the follower with its changes. */
  readonly follow: (path: string, readKey: ReadKey, follower: Follower) => Following
}

/** Derived values as pushed ones: they are reloaded when one of their parts changes. */
export function createDerived({ dependsOn, listener, clock, follow }: DerivedParts): PushSource {
  const followed = new Map<string, readonly Following[]>()
  /** Topics that wait for further changes which belong to the first one. */
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
      // The cached value may have been made of parts from before they were watched.
      listener.began(topic)
    },
    leave,
    hears: (topic) => followed.has(topic),
    heardAt: oldest,
    // While none of its parts is stale it is not stale either, however long ago it was made.
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
