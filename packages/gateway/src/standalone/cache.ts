import { formatVersion } from '@weir/protocol'
import { memoryBackend } from '../backend/memory/backend.ts'
import { unpooledBuffer } from '../buffer.ts'
import { createCache as createStage } from '../cache/cache.ts'
import { createMemory } from '../cache/memory.ts'
import { type Clock, keepAlive, systemClock } from '../clock.ts'
import { ConfigError, show, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { flight } from '../flight/flight.ts'
import { stringifyJson, unwritable } from '../json.ts'
import { type Bytes, CACHE_OPTIONS, type Duration, readOptions } from '../options.ts'
import { untilDeadline } from '../standalone/deadline.ts'

/** Options of `createCache()`. */
export interface CacheOptions<Value> {
  /**
   * Loads a missing value, once for all waiting callers. `signal` aborts when the last caller leaves. The value must be JSON: null,
   * booleans, strings, finite numbers, bigints, arrays and plain objects. Other values, such as NaN, a Map or a Date, fail with
   * `upstream_invalid`.
   */
  load(key: string, signal: AbortSignal): Promise<Value>
  readonly name?: string
  /** How long a value is served without a reload. Default: `'1s'`. */
  readonly fresh?: Duration
  /** How much longer it is served while a reload is in flight or fails. Default: `'30s'`. */
  readonly stale?: Duration
  /** How long a caller waits at most. Default: `'10s'`. */
  readonly deadline?: Duration
  /** Memory limit for cached values. Default: `'64mb'`. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** A cached value. All callers get the same frozen object. */
export interface Kept<Value> {
  readonly value: Value
  /** `epoch:sequence`. Versions only increase. */
  readonly version: string
  /** Time since it was loaded or confirmed, in milliseconds. */
  readonly age: number
}

/** Caches values, and loads each once for all waiting callers. */
export interface Cache<Value> {
  /** @throws the error of `load`, which is cached for a second */
  get(key: string, options?: { readonly signal?: AbortSignal }): Promise<Kept<Value>>
  /** Number of cached values. */
  readonly size: number
}

/**
 * A cache for an existing program, with a memory limit. Stale values are served while a reload is in flight or fails.
 *
 * @throws ConfigError with the option, the expected form and the given value
 */
export function createCache<Value>(options: CacheOptions<Value>): Cache<Value> {
  const { name, load, fresh, stale, deadline, memory: bytes } = readOptions('createCache()', CACHE_OPTIONS, options)
  if (typeof load !== 'function') throw new ConfigError('createCache()', 'load', 'a function', load)
  const { clock = systemClock, observe: emit = () => {} } = options
  const { values, leases, bus } = memoryBackend(clock, bytes)
  const memory = createMemory(bytes)
  const freshness = { fresh, stale, staleIfError: stale, spread: 0, asOf: undefined, tags: undefined }
  const cache = createStage({ feed: name, memory, values, clock, emit, stretch: () => 1, freshness })
  const flown = flight({
    feed: name,
    node: name,
    leases,
    values,
    bus,
    clock,
    emit,
    keep: fresh + stale,
    known: cache.kept,
  })
  const read = cache.stage(
    flown(async ({ topic, deadline: until, signal: gone }) => {
      const since = clock.monotonic()
      const loaded = untilDeadline(name, clock, until, gone, (signal) => options.load(topic, signal))
      const value: unknown = await loaded.catch((thrown) => Promise.reject(wrapError(name, thrown)))
      const wrong = unwritable(value)
      if (wrong !== undefined)
        throw new WeirError('upstream_invalid', `${name}: expected a JSON value for ${show(topic)}, got ${wrong}`)
      return { json: unpooledBuffer(stringifyJson(value) ?? 'null'), reason: undefined, absentFor: undefined, since }
    }),
  )

  const keepAwake = keepAlive()
  return {
    async get(key, { signal } = {}) {
      const until = clock.monotonic() + deadline
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      const found = read({ ...ask, refresh: false })
      const entry = found instanceof Promise ? await keepAwake(found) : found
      // The stored value is the JSON form of what `load` returned.
      const value = entry.value as Value
      return { value, version: formatVersion(entry.version), age: Math.max(0, clock.monotonic() - entry.confirmedAt) }
    },
    get size() {
      return memory.entries.size
    },
  }
}

/** Wraps an error once, so that waiting and later callers get the same one. */
function wrapError(name: string, thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  return new WeirError('upstream_failed', `${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
    cause: thrown,
  })
}
