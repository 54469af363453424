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
import { CACHE_OPTIONS } from '../options/standalone.ts'
import { type Bytes, type Duration, readOptions } from '../options.ts'
import { untilDeadline } from '../standalone/deadline.ts'

/** The options of `createCache()`. */
export interface CacheOptions<Value> {
  /**
   * Loads a missing value: called once for all waiters, aborted when the last one leaves. The value must be JSON: null,
   * booleans, strings, finite numbers, bigints, arrays and plain objects. Anything else, such as NaN, a Map or a Date,
   * is refused as `upstream_invalid`, with its place.
   */
  load(key: string, signal: AbortSignal): Promise<Value>
  readonly name?: string
  /** How long a value is served without a load. `'1s'` by default. */
  readonly fresh?: Duration
  /** How long beyond `fresh` it may be served while it is reloaded, or while loads fail. `'30s'` by default. */
  readonly stale?: Duration
  /** Maximum time that a caller waits. `'10s'` by default. */
  readonly deadline?: Duration
  /** Maximum memory for cached values. `'64mb'` by default. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** A cached value; the same frozen object for all callers. */
export interface Kept<Value> {
  readonly value: Value
  /** `epoch:sequence`; it only rises. */
  readonly version: string
  /** Milliseconds since it was loaded or confirmed. */
  readonly age: number
}

/** Caches values, and loads each once for all waiters. */
export interface Cache<Value> {
  /** @throws the error of `load`, to all waiters, and for a second to later callers */
  get(key: string, options?: { readonly signal?: AbortSignal }): Promise<Kept<Value>>
  /** Number of cached values. */
  readonly size: number
}

/**
 * A cache for an existing program: fresh, then stale while a value is reloaded, then stale while that fails. Limited in
 * bytes.
 *
 * @throws ConfigError with the option, the expected and the given value
 */
export function createCache<Value>(options: CacheOptions<Value>): Cache<Value> {
  const { name, load, fresh, stale, deadline, memory: bytes } = readOptions('createCache()', CACHE_OPTIONS, options)
  if (typeof load !== 'function') throw new ConfigError('createCache()', 'load', 'a function', load)
  const { clock = systemClock, observe: emit = () => {} } = options
  const { values, leases, bus } = memoryBackend(clock, bytes)
  const memory = createMemory(bytes)
  const freshness = { fresh, stale, staleIfError: stale, spread: 0, asOf: undefined, tags: undefined }
  const cache = createStage({ feed: name, memory, values, clock, emit, stretch: () => 1, freshness })
  const fly = flight({
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
    fly(async ({ topic, deadline: until, signal: gone }) => {
      const since = clock.monotonic()
      const loaded = untilDeadline(name, clock, until, gone, (signal) => options.load(topic, signal))
      const value: unknown = await loaded.catch((thrown) => Promise.reject(asLoadError(name, thrown)))
      const fault = unwritable(value)
      if (fault !== undefined)
        throw new WeirError('upstream_invalid', `${name}: expected a JSON value for ${show(topic)}, got ${fault}`)
      return { json: unpooledBuffer(stringifyJson(value) ?? 'null'), reason: undefined, absentFor: undefined, since }
    }),
  )

  const alive = keepAlive()
  return {
    async get(key, { signal } = {}) {
      const until = clock.monotonic() + deadline
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      const found = read({ ...ask, refresh: false })
      const entry = found instanceof Promise ? await alive(found) : found
      // The entry holds the value of `load`, as JSON carries it.
      const value = entry.value as Value
      return { value, version: formatVersion(entry.version), age: Math.max(0, clock.monotonic() - entry.confirmedAt) }
    },
    get size() {
      return memory.entries.size
    },
  }
}

/** Converts an error once, so that waiters and later callers get the same one. */
function asLoadError(name: string, thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  return new WeirError('upstream_failed', `${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
    cause: thrown,
  })
}
