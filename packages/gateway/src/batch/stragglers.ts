import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** A call is late after this many times the recent duration of calls, and never before this many milliseconds. */
const LATE_FACTOR = 3
const MIN_LATE = 50

/** The weight of the last call in the running mean. */
const RECENT = 0.2

/**
 * Extra calls for late ones may be this share of the traffic. This many can be saved up: enough to find one slow key
 * among 64.
 */
const EXTRA_SHARE = 0.1
const MAX_EXTRA = 12

/**
 * A failing batch may be split this often without an answer, and once more per interval in milliseconds. Some splits
 * are reserved for calls of several clients.
 */
const MAX_SPLITS = 6
const SPLIT_INTERVAL = 1000
const RESERVED_SPLITS = 2

/**
 * A call is not split while each of its keys failed alone within this many milliseconds, and none was answered since. Later
 * the upstream may be back, and only some of the keys still fail.
 */
const HOPELESS_FOR = 10_000

/** Maximum number of separated keys, and of separated clients. */
const MAX_SEPARATE = 5000

/**
 * How long a slow or bad key, or a client that requested a bad one, stays separate unless it was quick before, in
 * milliseconds.
 */
const SEPARATE_FOR = 30_000

/** Tracks how long the calls of a feed take, how many extra calls are allowed, and which keys made calls late. */
export interface StragglerTracker {
  /**
   * When a call counts as late, in milliseconds; undefined if that is after its deadline.
   *
   * @param left milliseconds until the deadline
   */
  lateAfter(left: number): number | undefined
  /** An ordinary call was made. */
  sent(): void
  /** Takes two extra calls from the allowance, if possible. */
  maySplit(): boolean
  /**
   * Takes one split from the allowance for failing batches, if possible.
   *
   * @param shared whether the keys are of several clients
   * @param needed splits that lead to a single key. Once the allowance was used up in vain, that many have to be saved: a
   *   search that ends half-way finds nothing, and the next one would be as short
   */
  mayHalve(shared: boolean, needed: number): boolean
  /** Records that a key failed in a call of its own. */
  failedAlone(topic: string): void
  /** Whether each of these keys failed alone since the last answer, so that a split would help none of them. */
  isHopeless(topics: readonly string[]): boolean
  /** Records an answer. */
  answered(): void
  /** Records that a call was split without a single answer. */
  searchFailed(): void
  /** Returns splits to the allowance, because they led to an answer. */
  refundSplits(splits: number): void
  /** Whether a client's keys have calls of their own, because one made a call fail or late. */
  isSeparate(client: string): boolean
  /** Records that a call with keys of this client alone failed or is late. */
  separateClient(client: string, startedAt: number): void
  /** How many keys share the call of a key that may be slow; undefined for other keys. */
  groupSize(topic: string): number | undefined
  /** Records that a call was answered in time: none of these keys is slow. */
  onTime(topics: readonly string[], took: number): void
  /** Records that a call was answered late. */
  answeredLate(took: number): void
  /** Records that a call is late, perhaps because of one of these keys. */
  suspect(topics: readonly string[], startedAt: number): void
}

export function createStragglerTracker(clock: Clock): StragglerTracker {
  let typical = 0
  let extra = MAX_EXTRA
  let splits = MAX_SPLITS
  let refilledAt = clock.monotonic()
  let lastOnTime = Number.NEGATIVE_INFINITY
  /** Separated keys: until when, and how many share a call. The most recent ones are at the end. */
  const slow = new Map<string, { readonly until: number; readonly groupSize: number }>()
  /** Keys that failed alone since the last answer, and until when they count. */
  const hopeless = new LRUCache<string, number>({ max: MAX_SEPARATE })
  /** Whether the allowance was used up without an answer. */
  let exhausted = false
  /** Separated clients, and until when. */
  const separateClients = new LRUCache<string, number>({ max: MAX_SEPARATE })

  /** A call that hung counts only as a late one. Otherwise the next one would count as late only after minutes. */
  function record(took: number): void {
    typical += typical === 0 ? took : (Math.min(took, LATE_FACTOR * typical) - typical) * RECENT
  }

  return {
    lateAfter(left) {
      // For the first call, only its deadline is known.
      const after = Math.max(MIN_LATE, typical === 0 ? left / 2 : LATE_FACTOR * typical)
      return after < left ? after : undefined
    },

    sent() {
      extra = Math.min(MAX_EXTRA, extra + EXTRA_SHARE)
    },

    maySplit() {
      if (extra < 2) return false
      extra -= 2
      return true
    },

    mayHalve(shared, needed) {
      const now = clock.monotonic()
      splits = Math.min(MAX_SPLITS, splits + (now - refilledAt) / SPLIT_INTERVAL)
      refilledAt = now
      const least = exhausted ? needed : 1
      if (splits < Math.min(MAX_SPLITS, least + (shared ? 0 : RESERVED_SPLITS))) return false
      splits -= 1
      return true
    },

    failedAlone(topic) {
      hopeless.set(topic, clock.monotonic() + HOPELESS_FOR)
    },

    isHopeless: (topics) => topics.every((topic) => (hopeless.peek(topic) ?? 0) > clock.monotonic()),

    answered() {
      hopeless.clear()
      exhausted = false
    },

    searchFailed() {
      exhausted ||= splits < 1
    },

    refundSplits(count) {
      splits = Math.min(MAX_SPLITS, splits + count)
    },

    isSeparate: (client) => (separateClients.peek(client) ?? 0) > clock.monotonic(),

    separateClient(client, startedAt) {
      if (lastOnTime >= startedAt) separateClients.set(client, clock.monotonic() + SEPARATE_FOR)
    },

    groupSize(topic) {
      const found = slow.get(topic)
      return found === undefined || found.until <= clock.monotonic() ? undefined : found.groupSize
    },

    onTime(topics, took) {
      lastOnTime = clock.monotonic()
      record(took)
      if (slow.size > 0) for (const topic of topics) slow.delete(topic)
    },

    answeredLate: record,

    suspect(topics, startedAt) {
      // If no call is on time, the upstream is slow, not a key.
      if (lastOnTime < startedAt) return
      const now = clock.monotonic()
      for (const [topic, { until }] of slow) {
        if (until > now && slow.size + topics.length <= MAX_SEPARATE) break
        slow.delete(topic)
      }
      // Half the size next time, until each slow key is alone and the others have proved quick.
      const groupSize = Math.ceil(topics.length / 2)
      for (const topic of topics) {
        slow.delete(topic)
        slow.set(topic, { until: now + SEPARATE_FOR, groupSize })
      }
    },
  }
}
