import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** A call is late after so many times what calls took of late, and never before so many milliseconds. */
const LATE = 3
const LEAST_LATE = 50

/** How much the last call counts in the running mean. */
const RECENT = 0.2

/** Calls beside late ones may be this share of the traffic; so many are saved up: as many as find one slow key among 64. */
const SHARE = 0.1
const SAVED = 12

/** Calls that fail may be split this often without one answer, and once more a second. Some of it is kept for calls of several clients. */
const FRUITLESS = 6
const FRUITLESS_EACH = 1000
const KEPT = 2

/** The most keys, and the most clients, that are kept apart. */
const MOST_APART = 5000

/** How long a slow or bad key, or a client that asked for a bad one, is kept apart in milliseconds, unless it was quick before. */
const APART = 30_000

/** How quick the calls of a feed are, what may be done about a late one, and which keys made calls late. */
export interface StragglerTracker {
  /** Milliseconds after which a call is late that has so many left; undefined when its time is over before. */
  lateAfter(left: number): number | undefined
  /** A call was made for those who came. */
  sent(): void
  /** Whether two calls more may be made; they are taken. */
  maySplit(): boolean
  /** Whether a call that failed may be split, though none of its batch was answered yet; that is taken. `shared`: by several clients. */
  mayHalve(shared: boolean): boolean
  /** A key failed in a call of its own. */
  failedAlone(topic: string): void
  /** Whether each of these keys failed in a call of its own since the last answer, so that a split finds no key that is better off. */
  isHopeless(topics: readonly string[]): boolean
  /** A call was answered. */
  answered(): void
  /** Splits that led to an answer cost nothing. */
  fruitful(splits: number): void
  /** Whether a client's keys go in calls of their own, since one made a call fail or late. */
  spoils(client: string): boolean
  /** A call that started at this moment fails, or is late, for keys of this client alone. */
  spoiled(client: string, startedAt: number): void
  /** With how many others of its kind a key that may have made calls late goes in one; undefined for one that did not. */
  groupSize(topic: string): number | undefined
  /** A call for these keys was answered in time, after so many milliseconds: none of them is slow. */
  onTime(topics: readonly string[], took: number): void
  /** A call was answered late, after so many milliseconds. */
  behind(took: number): void
  /** A call that started at this moment is late, and one of these keys may be why. */
  suspect(topics: readonly string[], startedAt: number): void
}

export function createStragglerTracker(clock: Clock): StragglerTracker {
  let usual = 0
  let extra = SAVED
  let halvings = FRUITLESS
  let filledAt = clock.monotonic()
  let lastOnTime = Number.NEGATIVE_INFINITY
  /** Keys that are apart: until when, and how many of them go in one call. Those that were found last are at the end. */
  const slow = new Map<string, { readonly until: number; readonly company: number }>()
  /** Keys that failed in calls of their own since the last answer. */
  const hopeless = new Set<string>()
  /** Clients that are apart, and until when. */
  const spoilers = new LRUCache<string, number>({ max: MOST_APART })

  /** One call that hung counts as a late one: else the next would be late only after minutes. */
  function note(took: number): void {
    usual += usual === 0 ? took : (Math.min(took, LATE * usual) - usual) * RECENT
  }

  return {
    lateAfter(left) {
      // Of the first call nothing is known but how long it may take.
      const after = Math.max(LEAST_LATE, usual === 0 ? left / 2 : LATE * usual)
      return after < left ? after : undefined
    },

    sent() {
      extra = Math.min(SAVED, extra + SHARE)
    },

    maySplit() {
      if (extra < 2) return false
      extra -= 2
      return true
    },

    mayHalve(shared) {
      const now = clock.monotonic()
      halvings = Math.min(FRUITLESS, halvings + (now - filledAt) / FRUITLESS_EACH)
      filledAt = now
      if (halvings < (shared ? 1 : 1 + KEPT)) return false
      halvings -= 1
      return true
    },

    failedAlone(topic) {
      if (hopeless.size < MOST_APART) hopeless.add(topic)
    },

    isHopeless: (topics) => topics.every((topic) => hopeless.has(topic)),

    answered() {
      hopeless.clear()
    },

    fruitful(splits) {
      halvings = Math.min(FRUITLESS, halvings + splits)
    },

    spoils: (client) => (spoilers.peek(client) ?? 0) > clock.monotonic(),

    spoiled(client, startedAt) {
      if (lastOnTime >= startedAt) spoilers.set(client, clock.monotonic() + APART)
    },

    groupSize(topic) {
      const found = slow.get(topic)
      return found === undefined || found.until <= clock.monotonic() ? undefined : found.company
    },

    onTime(topics, took) {
      lastOnTime = clock.monotonic()
      note(took)
      if (slow.size > 0) for (const topic of topics) slow.delete(topic)
    },

    behind: note,

    suspect(topics, startedAt) {
      // Where nobody is on time it is the upstream that is slow, and no key.
      if (lastOnTime < startedAt) return
      const now = clock.monotonic()
      for (const [topic, { until }] of slow) {
        if (until > now && slow.size + topics.length <= MOST_APART) break
        slow.delete(topic)
      }
      // Half as many the next time, until each that is slow is alone, and the others have shown that they are not.
      const company = Math.ceil(topics.length / 2)
      for (const topic of topics) {
        slow.delete(topic)
        slow.set(topic, { until: now + APART, company })
      }
    },
  }
}
