import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** Number of remembered requests, and for how long in milliseconds. */
const MAX_REMEMBERED = 5000
const REMEMBERED_FOR = 5 * 60_000

/** Remembers requests with a recent answer. If one of them fails, its content is not the cause. */
export interface Answerable {
  has(key: string): boolean
  add(key: string): void
}

export function createAnswerable(clock: Clock): Answerable {
  const answered = new LRUCache<string, number>({ max: MAX_REMEMBERED })
  return {
    has(key) {
      const at = answered.peek(key)
      return at !== undefined && clock.monotonic() - at < REMEMBERED_FOR
    },
    add: (key) => void answered.set(key, clock.monotonic()),
  }
}
