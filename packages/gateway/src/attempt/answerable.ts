import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** This many requests are remembered, for this long in milliseconds. */
const REMEMBERED = 5000
const FOR = 5 * 60_000

/** Which requests had an answer of late: when one of these fails, it is not for what it asks. */
export interface Answerable {
  has(key: string): boolean
  add(key: string): void
}

export function createAnswerable(clock: Clock): Answerable {
  const answered = new LRUCache<string, number>({ max: REMEMBERED })
  return {
    has(key) {
      const at = answered.peek(key)
      return at !== undefined && clock.monotonic() - at < FOR
    },
    add: (key) => void answered.set(key, clock.monotonic()),
  }
}
