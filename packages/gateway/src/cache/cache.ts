import type { Values } from '../backend/ports.ts'
import type { Ask, MaybePromise, Stage } from '../call.ts'
import type { Clock } from '../clock.ts'
import { addressOf, compareNews, Entry, type Freshness, type Stored } from '../entry.ts'
import { asWeirError, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Memory } from './memory.ts'

/** What the upstream says is old already is believed for this share of `fresh`: else each reader would ask for it again. */
const LEAST_FRESH = 0.1

/** When to ask again for what rests, in milliseconds. */
const RESTS_FOR = 30_000

export interface CacheParts {
  readonly feed: string
  readonly memory: Memory
  readonly values: Values
  readonly clock: Clock
  readonly emit: Emit
  readonly freshness: Freshness
  /** How much longer values are fresh at the level of now. */
  readonly stretch: () => number
  /** Whether nothing may be asked for now. */
  readonly resting?: () => boolean
  /** From 0 to 1, for the spread. */
  readonly random?: () => number
}

/** The freshness of one feed. */
export interface Cache {
  readonly stage: Stage<Ask, MaybePromise<Entry>, Ask, Promise<Stored>>
  /** The entry that would be served without asking, if there is one. */
  fresh(topic: string): Entry | undefined
  /** Whatever is kept of a topic, however old. */
  kept(topic: string): Entry | undefined
  /** Takes what was published, here or on another node, and returns the entry that now holds. */
  accept(topic: string, key: unknown, stored: Stored): Entry
  /** Until when an entry is fresh by its age alone, on the monotonic clock. */
  freshUntil(entry: Entry): number
  /** Milliseconds for which an entry is served without asking; below zero when it is not. */
  left(entry: Entry): number
  /** What is kept of a topic is not served any more: who reads it next asks the upstream. */
  drop(topic: string): Promise<void>
  /** The same on this node alone. */
  forget(topic: string): void
  /** The topics of this feed that are kept under a tag. */
  tagged(tag: string): readonly string[]
}

export function createCache(parts: CacheParts): Cache {
  const { feed, memory, values, clock, emit, stretch, resting = () => false, random = Math.random } = parts
  const { fresh, stale, staleIfError, spread, asOf, tags } = parts.freshness
  const revalidating = new Set<string>()
  /** Topics that are being fetched, and whether they were dropped since that began. */
  const fetching = new Map<string, { fetches: number; dropped: boolean }>()

  function known(topic: string, how: 'get' | 'peek' = 'get'): Entry | undefined {
    const kept = memory.entries[how](topic)
    // Two feeds may have values at one address, and proxies keep answers here too.
    return kept instanceof Entry && kept.feed === feed ? kept : undefined
  }

  function lasts(entry: Entry): number {
    return (entry.content.absentFor ?? fresh) * stretch() * (1 - entry.spread)
  }

  function freshUntil(entry: Entry): number {
    const lasting = lasts(entry)
    return Math.max(entry.since + lasting, entry.confirmedAt + lasting * LEAST_FRESH)
  }

  function left(entry: Entry): number {
    const least = entry.cameAt + lasts(entry) * LEAST_FRESH
    return Math.max(Math.min(freshUntil(entry), entry.staleFrom), least) - clock.monotonic()
  }

  function keep(topic: string, key: unknown, stored: Stored): Entry {
    const kept = known(topic)
    // What comes from afar may be older than its arrival: its age is counted by the wall clocks, never below zero.
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
    memory.keep(entry, declared('tags', () => tags?.(entry.value, key).map(named)) ?? [])
    return entry
  }

  /** What the feed's declaration says of a value; a declaration that throws harms no reader. */
  function declared<Said>(option: string, say: () => Said | undefined): Said | undefined {
    try {
      return say()
    } catch (error) {
      emit({ type: 'failed', where: `${feed}: ${option}`, error })
      return undefined
    }
  }

  function accept(topic: string, key: unknown, stored: Stored): Entry {
    memory.failures.delete(topic)
    return keep(topic, key, stored)
  }

  /** Tags of two feeds never meet. */
  function named(tag: string): string {
    return `${feed} ${tag}`
  }

  const stage: Cache['stage'] = (next) => {
    // Thousands may wait for one call: one hop of a promise is between each of them and its answer, and what is the same for
    // all of them is done for the first.
    let shared:
      | { readonly answer: Promise<Stored>; readonly refresh: boolean; readonly entry: Promise<Entry> }
      | undefined
    let last: { readonly stored: Stored; readonly entry: Entry } | undefined
    /** The failure that was told last, for all who wait for it. */
    let lastFailure: { readonly topic: string; readonly thrown: WeakRef<WeirError> } | undefined

    function fetch(ask: Ask): Promise<Entry> {
      const answer = next(ask)
      // Waiters of one call who can't leave get one promise from below, and so one from here.
      if (shared?.answer === answer && shared.refresh === ask.refresh) return shared.entry
      const landed = take(ask.topic)
      const askedAt = clock.monotonic()
      const entry = answer.then(
        (stored) => {
          if (last?.stored !== stored) {
            last = { stored, entry: accept(ask.topic, ask.key, stored) }
            last.entry.cameAt = clock.monotonic()
            last.entry.askedAt = askedAt
          }
          landed(last.entry)
          return last.entry
        },
        (thrown) => {
          landed()
          const told = lastFailure?.thrown.deref() === thrown && lastFailure?.topic === ask.topic
          if (!told && ask.signal?.aborted !== true) {
            lastFailure = thrown instanceof WeirError ? { topic: ask.topic, thrown: new WeakRef(thrown) } : undefined
            memory.failures.add(ask.topic, asWeirError(thrown), clock)
          }
          const entry = ask.refresh ? undefined : instead(ask.topic)
          if (entry === undefined) throw thrown
          return entry
        },
      )
      shared = { answer, refresh: ask.refresh, entry }
      return entry
    }

    /** Counts a fetch; what was dropped while it was under way is old when it lands. */
    function take(topic: string): (entry?: Entry) => void {
      const flying = fetching.get(topic) ?? { fetches: 0, dropped: false }
      flying.fetches += 1
      fetching.set(topic, flying)
      return (entry) => {
        flying.fetches -= 1
        if (flying.fetches === 0) fetching.delete(topic)
        if (!flying.dropped || entry === undefined) return
        entry.expire()
        values.expire(topic).catch((error) => emit({ type: 'failed', where: `${feed}: drop`, error }))
      }
    }

    /** What may be served while there is nothing newer to be had. */
    function instead(topic: string): Entry | undefined {
      const entry = known(topic)
      return entry !== undefined && left(entry) + staleIfError > 0 ? entry : undefined
    }

    function revalidate(ask: Ask): void {
      if (revalidating.has(ask.topic)) return
      revalidating.add(ask.topic)
      fetch({ ...ask, signal: undefined, priority: 'live' })
        .catch(() => {
          // The reader has its answer; the failure was told by the stage where it happened.
        })
        .finally(() => revalidating.delete(ask.topic))
    }

    function miss(ask: Ask): MaybePromise<Entry> {
      const stored = values.read(ask.topic)
      return stored instanceof Promise ? stored.then((stored) => missed(ask, stored)) : missed(ask, stored)
    }

    function missed(ask: Ask, stored: Stored | undefined): MaybePromise<Entry> {
      if (stored !== undefined) {
        const entry = keep(ask.topic, ask.key, stored)
        if (left(entry) > 0) return entry
      }
      const failure = memory.failures.of(ask.topic, clock)
      if (failure === undefined) return fetch(ask)
      return instead(ask.topic) ?? Promise.reject(failure)
    }

    /** What is kept, for it is not asked for now. */
    function rested(topic: string): Entry {
      const entry = instead(topic)
      if (entry !== undefined) return entry
      const detail = `${feed}: rests while the gateway is strained, and ${addressOf(topic)} is not kept`
      throw new WeirError('suspended', detail, { retryAfter: RESTS_FOR })
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
        return rested(ask.topic)
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
    const flying = fetching.get(topic)
    if (flying !== undefined) flying.dropped = true
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
    tagged: (tag) => memory.tagged(named(tag)),
  }
}
