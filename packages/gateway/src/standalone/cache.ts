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

/** What `createCache()` takes. */
export interface CacheOptions<Value> {
  /**
   * Gets what is not there: called once for all who wait, aborted when nobody does any more. Its value must be JSON: null, booleans, texts, finite
   * numbers, bigints, lists and plain objects. Anything else, such as NaN, a Map or a Date, is refused as `upstream_invalid`, with its place.
   */
  load(key: string, signal: AbortSignal): Promise<Value>
  readonly name?: string
  /** How long a value is served without asking again. `'1s'` by default. */
  readonly fresh?: Duration
  /** How long beyond that it may still be served, while it is fetched anew or that fails. `'30s'` by default. */
  readonly stale?: Duration
  /** The longest that anybody waits. `'10s'` by default. */
  readonly deadline?: Duration
  /** The most memory that kept values take. `'64mb'` by default. */
  readonly memory?: Bytes
  readonly clock?: Clock
  readonly observe?: Emit
}

/** A value that is kept; the same frozen object for all who ask. */
export interface Kept<Value> {
  readonly value: Value
  /** `epoch:sequence`; it only rises. */
  readonly version: string
  /** Milliseconds since it was loaded or confirmed. */
  readonly age: number
}

/** Keeps values, and loads each once for all who want it. */
export interface Cache<Value> {
  /** @throws what `load` threw, to all who wait for it, and for a second to those who come then */
  get(key: string, options?: { readonly signal?: AbortSignal }): Promise<Kept<Value>>
  /** Values that are kept. */
  readonly size: number
}

/**
 * A cache for an existing program: fresh, then stale while it is loaded anew, then stale while that fails; bounded in bytes.
 *
 * @throws ConfigError naming the option, what was expected and what came
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
      const value: unknown = await loaded.catch((thrown) => Promise.reject(named(name, thrown)))
      const wrong = unwritable(value)
      if (wrong !== undefined)
        throw new WeirError('upstream_invalid', `${name}: expected a JSON value for ${show(topic)}, got ${wrong}`)
      return { json: unpooledBuffer(stringifyJson(value) ?? 'null'), reason: undefined, absentFor: undefined, since }
    }),
  )

  const awaited = keepAlive()
  return {
    async get(key, { signal } = {}) {
      const until = clock.monotonic() + deadline
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      const found = read({ ...ask, refresh: false })
      const entry = found instanceof Promise ? await awaited(found) : found
      // What was stored is what `load` gave, as JSON has it.
      const value = entry.value as Value
      return { value, version: formatVersion(entry.version), age: Math.max(0, clock.monotonic() - entry.confirmedAt) }
    },
    get size() {
      return memory.entries.size
    },
  }
}

/** The same error for those who come while it is shared as for those who waited. */
function named(name: string, thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  return new WeirError('upstream_failed', `${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
    cause: thrown,
  })
}
