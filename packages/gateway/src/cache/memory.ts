import { LRUCache } from 'lru-cache'
import type { Entry } from '../entry.ts'
import { Failures } from './failures.ts'

/** The first cache tier: memory of this process, limited in bytes and shared by everything that an app caches. */
export interface Memory {
  /** Entries of feeds by topic. Other parts use the same limit under keys that are not topics. */
  readonly entries: LRUCache<string, Sized>
  /** Failures, within the same limit. */
  readonly failures: Failures
  keep(entry: Entry, tags: readonly string[]): void
  /** The topics that have a tag. */
  tagged(tag: string): readonly string[]
}

interface Sized {
  /** Bytes of memory. */
  readonly size: number
}

export function createMemory(bytes: number): Memory {
  const topics = new Map<string, Set<string>>()
  const tagsOf = new WeakMap<Sized, readonly string[]>()
  const entries = new LRUCache<string, Sized>({
    maxSize: bytes,
    sizeCalculation: (entry) =>
      entry.size + (tagsOf.get(entry) ?? []).reduce((sum, tag) => sum + tag.length * 2 + 50, 0),
    dispose: (entry, topic) => untag(entry, topic),
  })

  function untag(entry: Sized, topic: string): void {
    for (const tag of tagsOf.get(entry) ?? []) {
      const tagged = topics.get(tag)
      tagged?.delete(topic)
      if (tagged?.size === 0) topics.delete(tag)
    }
  }

  return {
    entries,
    failures: new Failures(entries),
    keep(entry, tags) {
      if (tags.length > 0) tagsOf.set(entry, tags)
      entries.set(entry.topic, entry)
      // Only now, since replacing an older entry has just removed that entry's tags. An entry that is too large was not
      // stored.
      if (entries.peek(entry.topic) !== entry) return
      for (const tag of tags) {
        const tagged = topics.get(tag) ?? new Set()
        topics.set(tag, tagged.add(entry.topic))
      }
    },
    tagged: (tag) => [...(topics.get(tag) ?? [])],
  }
}
