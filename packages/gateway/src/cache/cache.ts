import { compareVersions } from '@weir/protocol'
import { LRUCache } from 'lru-cache'
import type { Values } from '../backend/ports.ts'
import type { Ask, Soon, Stage } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Entry, type Stored } from '../entry.ts'
import { asWeirError, type WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

/** How long a failure is shared with those who ask again, in milliseconds: brief, so that recovery shows at once. */
const FAILURE_KEPT = 1000

/** The first tier, in this process's memory and bounded in bytes; one for all feeds of a gateway. */
export interface Memory {
  readonly entries: LRUCache<string, Entry>
  /** Failures that are still shared, with their end on the monotonic clock. */
  readonly failures: LRUCache<string, { error: WeirError; until: number }>
}

export function createMemory(bytes: number): Memory {
  return {
    entries: new LRUCache({ maxSize: bytes, sizeCalculation: (entry) => entry.size }),
    failures: new LRUCache({ max: 10_000 }),
  }
}

export interface CacheParts {
  readonly feed: string
  readonly memory: Memory
  readonly values: Values
  readonly clock: Clock
  readonly emit: Emit
  /** How much longer values are fresh at the level of now. */
  readonly stretch: () => number
  /** Milliseconds for which a value is served without asking. */
  readonly fresh: number
  /** Milliseconds beyond that for which it may be served while it is fetched anew, or while that fails. */
  readonly stale: number
}

/** The freshness of one feed. */
export interface Cache {
  readonly stage: Stage<Ask, Soon<Entry>, Ask, Promise<Stored>>
  /** The entry that would be served without asking, if there is one. */
  fresh(topic: string): Entry | undefined
  /** Whatever is kept of a topic, however old. */
  kept(topic: string): Entry | undefined
  /** Takes what was published, here or on another node, and returns the entry that now holds. */
  accept(topic: string, key: unknown, stored: Stored): Entry
  /** Milliseconds for which an entry stays fresh from now; below zero when it is not. */
  left(entry: Entry): number
}

export function createCache({ feed, memory, values, clock, emit, stretch, fresh, stale }: CacheParts): Cache {
  const revalidating = new Set<string>()

  function left(entry: Entry): number {
    const lasts = (entry.content.absentFor ?? fresh) * stretch()
    return entry.confirmedAt + lasts - clock.monotonic()
  }

  function keep(topic: string, key: unknown, stored: Stored): Entry {
    const kept = memory.entries.get(topic)
    // What comes from afar may be older than its arrival: its age is counted by the wall clocks, never below zero.
    const confirmedAt = clock.monotonic() - Math.max(0, clock.now() - stored.checkedAt)
    if (kept !== undefined) {
      const order = compareVersions(stored.version, kept.version)
      if (order === 0) kept.confirm(stored, confirmedAt)
      if (order <= 0) return kept
    }
    const entry = new Entry(topic, key, stored, confirmedAt)
    memory.entries.set(topic, entry)
    return entry
  }

  function accept(topic: string, key: unknown, stored: Stored): Entry {
    memory.failures.delete(topic)
    return keep(topic, key, stored)
  }

  const stage: Cache['stage'] = (next) => {
    // Thousands may wait for one call: one hop of a promise is between each of them and its answer, and what is the same for
    // all of them is done for the first.
    let shared:
      | { readonly answer: Promise<Stored>; readonly refresh: boolean; readonly entry: Promise<Entry> }
      | undefined
    let last: { readonly stored: Stored; readonly entry: Entry } | undefined
    let lastFailure: { readonly topic: string; readonly thrown: unknown } | undefined

    function fetch(ask: Ask): Promise<Entry> {
      const answer = next(ask)
      // Waiters of one call who can't leave get one promise from below, and so one from here.
      if (shared?.answer === answer && shared.refresh === ask.refresh) return shared.entry
      const entry = answer.then(
        (stored) => {
          if (last?.stored !== stored) last = { stored, entry: accept(ask.topic, ask.key, stored) }
          return last.entry
        },
        (thrown) => {
          const told = lastFailure?.thrown === thrown && lastFailure?.topic === ask.topic
          if (!told && ask.signal?.aborted !== true) {
            lastFailure = { topic: ask.topic, thrown }
            memory.failures.set(ask.topic, { error: asWeirError(thrown), until: clock.monotonic() + FAILURE_KEPT })
          }
          const entry = ask.refresh ? undefined : instead(ask.topic)
          if (entry === undefined) throw thrown
          return entry
        },
      )
      shared = { answer, refresh: ask.refresh, entry }
      return entry
    }

    /** What may be served while there is nothing newer to be had. */
    function instead(topic: string): Entry | undefined {
      const entry = memory.entries.get(topic)
      return entry !== undefined && left(entry) + stale > 0 ? entry : undefined
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

    function miss(ask: Ask): Soon<Entry> {
      const stored = values.read(ask.topic)
      return stored instanceof Promise ? stored.then((stored) => missed(ask, stored)) : missed(ask, stored)
    }

    function missed(ask: Ask, stored: Stored | undefined): Soon<Entry> {
      if (stored !== undefined) {
        const entry = keep(ask.topic, ask.key, stored)
        if (left(entry) > 0) return entry
      }
      const failure = memory.failures.get(ask.topic)
      if (failure === undefined || failure.until <= clock.monotonic()) return fetch(ask)
      return instead(ask.topic) ?? Promise.reject(failure.error)
    }

    return (ask) => {
      if (ask.refresh) {
        emit({ type: 'cache.read', feed, outcome: 'refresh' })
        return fetch(ask)
      }
      const entry = memory.entries.get(ask.topic)
      const remaining = entry === undefined ? Number.NEGATIVE_INFINITY : left(entry)
      if (entry !== undefined && remaining > 0) {
        emit({ type: 'cache.read', feed, outcome: 'hit' })
        return entry
      }
      if (entry !== undefined && remaining + stale > 0) {
        emit({ type: 'cache.read', feed, outcome: 'stale' })
        const failure = memory.failures.get(ask.topic)
        if (failure === undefined || failure.until <= clock.monotonic()) revalidate(ask)
        return entry
      }
      emit({ type: 'cache.read', feed, outcome: 'miss' })
      return miss(ask)
    }
  }

  return {
    stage,
    fresh(topic) {
      const entry = memory.entries.get(topic)
      return entry !== undefined && left(entry) > 0 ? entry : undefined
    },
    kept: (topic) => memory.entries.peek(topic),
    accept,
    left,
  }
}
