import type { Bus } from '../backend/ports.ts'
import type { Memory } from '../cache/memory.ts'
import { Entry } from '../entry.ts'
import type { Dropped, FeedRuntime } from '../topic/feed/feed-runtime.ts'

/** The channel on which nodes tell each other what was dropped. */
const DROPS = 'drops'

/** Tells all nodes, this one too, that values of a feed are not to be served any more. */
export function tellDropped(bus: Bus, feed: string, what: Dropped): void {
  bus.broadcast(DROPS, JSON.stringify({ feed, what }))
}

/** Drops what any node dropped, from now until the returned function is called. */
export function onDropped(bus: Bus, feeds: ReadonlyMap<string, FeedRuntime>, memory: Memory): () => void {
  return bus.onBroadcast(DROPS, (message) => {
    if (message === '') {
      expireAll(memory, [...feeds.values()])
      return
    }
    const { feed, what }: { readonly feed: string; readonly what: Dropped } = JSON.parse(message)
    feeds.get(feed)?.drops(what)
  })
}

/**
 * This node was cut off and may have missed drops, so every entry must be confirmed by the shared tier or the upstream. Watched values are polled
 * in a moment anyway.
 */
function expireAll({ entries }: Memory, feeds: readonly FeedRuntime[]): void {
  for (const entry of entries.values()) {
    if (entry instanceof Entry && !feeds.some((feed) => feed.watches(entry.topic))) entry.expire()
  }
}
