import type { Values } from '../backend/ports.ts'
import type { Ask, MaybePromise, Stage } from '../call.ts'
import type { Clock } from '../clock.ts'
import { addressOf, compareNews, Entry, type Freshness, type Stored } from '../entry.ts'
import { asWeirError, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Memory } from './memory.ts'

/**
 * An answer that is already old on arrival stays fresh for at least this share of `fresh`. Otherwise every reader would
 * fetch it again.
 */
const LEAST_FRESH = 0.1

/** `Retry-After` of a suspended feed, in milliseconds. */
const SUSPENDED_RETRY_AFTER = 30_000

export interface CacheParts {
  readonly feed: string
  readonly memory: Memory
  readonly values: Values
  readonly clock: Clock
  readonly emit: Emit
  readonly freshness: Freshness
  /** The factor by which the current level extends freshness. */
  readonly stretch: () => number
  /** Whether the feed is suspended: it serves cached values and makes no calls. */
  readonly resting?: () => boolean
  /** A random number from 0 to 1, for the spread. */
  readonly random?: () => number
}

/** The cache of one feed: decides which values are fresh, stale or expired. */
export interface Cache {
  readonly stage: Stage<Ask, MaybePromise<Entry>, Ask, Promise<Stored>>
  /** The entry that can be served without a call, if there is one. */
  fresh(topic: string): Entry | undefined
  /** The cached entry of a topic, whatever its age. */
  kept(topic: string): Entry | undefined
  /** Stores a value published on any node. Returns the entry that is now current. */
  accept(topic: string, key: unknown, stored: Stored): Entry
  /** When an entry stops being fresh by age alone, on the monotonic clock. */
  freshUntil(entry: Entry): number
  /** Milliseconds for which an entry can still be served without a call; negative once it cannot. */
  left(entry: Entry): number
  /** Expires a topic in all tiers: the next reader fetches it. */
  drop(topic: string): Promise<void>
  /** Expires a topic on this node only. */
  forget(topic: string): void
  /** The cached topics of this feed that have a tag. */
  tagged(tag: string): readonly string[]
}

export function createCache(parts: CacheParts): Cache {
  const { feed, memory, values, clock, emit, stretch, resting = () => false, random = Math.random } = parts
  const { fresh, stale, staleIfError, spread, asOf, tags } = parts.freshness
  const revalidating = new Set<string>()
  /** Topics that are being fetched, and whether they were dropped meanwhile. */
  const fetching = new Map<string, { fetches: number; dropped: boolean }>()

  function known(topic: string, how: 'get' | 'peek' = 'get'): Entry | undefined {
    const kept = memory.entries[how](topic)
    // Two feeds may have values at the same address, and proxies share this cache.
    return kept instanceof Entry && kept.feed === feed ? kept : undefined
  }

  function lifetimeOf(entry: Entry): number {
    return (entry.content.absentFor ?? fresh) * stretch() * (1 - entry.spread)
  }

  function freshUntil(entry: Entry): number {
    const lifetime = lifetimeOf(entry)
    return Math.max(entry.since + lifetime, entry.confirmedAt + lifetime * LEAST_FRESH)
  }

  function left(entry: Entry): number {
    const least = entry.cameAt + lifetimeOf(entry) * LEAST_FRESH
    return Math.max(Math.min(freshUntil(entry), entry.staleFrom), least) - clock.monotonic()
  }

  function keep(topic: string, key: unknown, stored: Stored): Entry {
    const kept = known(topic)
    // A value from another node may be older than its arrival. Wall clocks give its age, which is never negative.
    const confirmedAt = clock.monotonic() - Math.max(0, clock.now() - stored.checkedAt)
    const { staleAt = Number.POSITIVE_INFINITY } = stored
    const staleFrom = clock.monotonic() + staleAt - clock.now()
    if (kept !== undefined) {
      const order = compareNews(stored, kept)
      if (order === 0) kept.confirm(stored, confirmedAt, staleFrom)
      if (order <= 0) return kept
    }
    const entry = new Entry(topic, key, stored, confirmedAt, staleFrom, feed)
    entry.spread = spread * random()
    if (entry.absent) {
      memory.keep(entry, [])
      return entry
    }
    const moment = declared('asOf', () => asOf?.(entry.value))
    entry.asOf = moment === undefined ? undefined : clock.monotonic() - Math.max(0, clock.now() - moment)
    memory.keep(entry, declared('tags', () => tags?.(entry.value, key).map(scopedTag)) ?? [])
    return entry
  }

  /** Calls a function of the feed's declaration. If it throws, no reader is affected. */
  function declared<Result>(option: string, compute: () => Result | undefined): Result | undefined {
    try {
      return compute()
    } catch (error) {
      emit({ type: 'failed', where: `${feed}: ${option}`, error })
      return undefined
    }
  }

  function accept(topic: string, key: unknown, stored: Stored): Entry {
    memory.failures.delete(topic)
    return keep(topic, key, stored)
  }

  /** Prefixes a tag with the feed, so that feeds do not share tags. */
  function scopedTag(tag: string): string {
    return `${feed} ${tag}`
  }

  const stage: Cache['stage'] = (next) => {
    // Thousands may wait for one call. So each waiter adds only one promise to it, and work that is equal for all is
    // done once, for the first.
    let shared:
      | { readonly answer: Promise<Stored>; readonly refresh: boolean; readonly entry: Promise<Entry> }
      | undefined
    let last: { readonly stored: Stored; readonly entry: Entry } | undefined
    /** The last recorded failure, so that its waiters record it only once. */
    let lastFailure: { readonly topic: string; readonly thrown: WeakRef<WeirError> } | undefined

    function fetch(ask: Ask): Promise<Entry> {
      const answer = next(ask)
      // Waiters without a signal get the same promise from below, so they share one here too.
      if (shared?.answer === answer && shared.refresh === ask.refresh) return shared.entry
      const finish = beginFetch(ask.topic)
      const askedAt = clock.monotonic()
      const entry = answer.then(
        (stored) => {
          if (last?.stored !== stored) {
            last = { stored, entry: accept(ask.topic, ask.key, stored) }
            last.entry.cameAt = clock.monotonic()
            last.entry.askedAt = askedAt
          }
          finish(last.entry)
          return last.entry
        },
        (thrown) => {
          finish()
          const isRecorded = lastFailure?.thrown.deref() === thrown && lastFailure?.topic === ask.topic
          if (!isRecorded && ask.signal?.aborted !== true) {
            lastFailure = thrown instanceof WeirError ? { topic: ask.topic, thrown: new WeakRef(thrown) } : undefined
            memory.failures.add(ask.topic, asWeirError(thrown), clock)
          }
          const entry = ask.refresh ? undefined : fallback(ask.topic)
          if (entry === undefined) throw thrown
          return entry
        },
      )
      shared = { answer, refresh: ask.refresh, entry }
      return entry
    }

    /** Counts a fetch. If the topic was dropped meanwhile, the fetched entry is expired on arrival. */
    function beginFetch(topic: string): (entry?: Entry) => void {
      const pending = fetching.get(topic) ?? { fetches: 0, dropped: false }
      pending.fetches += 1
      fetching.set(topic, pending)
      return (entry) => {
        pending.fetches -= 1
        if (pending.fetches === 0) fetching.delete(topic)
        if (!pending.dropped || entry === undefined) return
        entry.expire()
        values.expire(topic).catch((error) => emit({ type: 'failed', where: `${feed}: drop`, error }))
      }
    }

    /** The stale entry that may be served instead of a failure. */
    function fallback(topic: string): Entry | undefined {
      const entry = known(topic)
      return entry !== undefined && left(entry) + staleIfError > 0 ? entry : undefined
    }

    function revalidate(ask: Ask): void {
      if (revalidating.has(ask.topic)) return
      revalidating.add(ask.topic)
      fetch({ ...ask, signal: undefined, priority: 'live' })
        .catch(() => {
          // The reader already has its answer, and the failing stage emitted the failure.
        })
        .finally(() => revalidating.delete(ask.topic))
    }

    function miss(ask: Ask): MaybePromise<Entry> {
      const stored = values.read(ask.topic)
      return stored instanceof Promise ? stored.then((stored) => afterRead(ask, stored)) : afterRead(ask, stored)
    }

    function afterRead(ask: Ask, stored: Stored | undefined): MaybePromise<Entry> {
      if (stored !== undefined) {
        const entry = keep(ask.topic, ask.key, stored)
        if (left(entry) > 0) return entry
      }
      const failure = memory.failures.of(ask.topic, clock)
      if (failure === undefined) return fetch(ask)
      return fallback(ask.topic) ?? Promise.reject(failure)
    }

    /** The entry that a suspended feed serves. */
    function suspended(topic: string): Entry {
      const entry = fallback(topic)
      if (entry !== undefined) return entry
      const detail = `${feed}: suspended while the gateway is strained, and ${addressOf(topic)} is not cached`
      throw new WeirError('suspended', detail, { retryAfter: SUSPENDED_RETRY_AFTER })
    }

    return (ask) => {
      if (ask.refresh) {
        emit({ type: 'cache.read', feed, outcome: 'refresh' })
        return fetch(ask)
      }
      const entry = known(ask.topic)
      const remaining = entry === undefined ? Number.NEGATIVE_INFINITY : left(entry)
      if (entry !== undefined && remaining > 0) {
        emit({ type: 'cache.read', feed, outcome: 'hit' })
        return entry
      }
      if (resting()) {
        emit({ type: 'cache.read', feed, outcome: 'stale' })
        return suspended(ask.topic)
      }
      if (entry !== undefined && remaining + stale > 0) {
        emit({ type: 'cache.read', feed, outcome: 'stale' })
        if (memory.failures.of(ask.topic, clock) === undefined) revalidate(ask)
        return entry
      }
      emit({ type: 'cache.read', feed, outcome: 'miss' })
      return miss(ask)
    }
  }

  function forget(topic: string): void {
    known(topic, 'peek')?.expire()
    const pending = fetching.get(topic)
    if (pending !== undefined) pending.dropped = true
  }

  return {
    stage,
    fresh(topic) {
      const entry = known(topic)
      return entry !== undefined && left(entry) > 0 ? entry : undefined
    },
    kept: (topic) => known(topic, 'peek'),
    accept,
    freshUntil,
    left,
    forget,
    async drop(topic) {
      forget(topic)
      await values.expire(topic)
    },
    tagged: (tag) => memory.tagged(scopedTag(tag)),
  }
}
