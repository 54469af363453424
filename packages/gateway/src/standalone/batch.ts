import { batch } from '../batch/batch.ts'
import { keepAlive, systemClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { BATCH_OPTIONS, type Duration, readOptions } from '../options.ts'

/** Options of `createBatch()`. */
export interface BatchOptions<Key, Value> {
  /** Loads several keys. Returns one result per key, in the same order: a value, or an Error for that key only. */
  many(keys: readonly Key[]): Promise<readonly (Value | Error)[]>
  /** Limit of keys per call. Default: 50. */
  readonly batch?: number
  /** How long the first key waits for others. Default: `'10ms'`. */
  readonly within?: Duration
}

/** Combines loads of single keys into calls for several keys. */
export interface Batch<Key, Value> {
  /**
   * Loads the value of one key.
   *
   * @throws the error that `many` returned or threw; `upstream_invalid` when it did not return one result per key; the signal's reason once aborted
   */
  load(key: Key, options?: { readonly signal?: AbortSignal }): Promise<Value>
}

/**
 * Combines simultaneous loads into one call. A key that fails or delays its batch is retried separately, so it may be loaded twice.
 *
 * @throws ConfigError with the option, the expected form and the given value
 */
export function createBatch<Key, Value>(options: BatchOptions<Key, Value>): Batch<Key, Value> {
  const read = readOptions('createBatch()', BATCH_OPTIONS, options)
  const stage = batch<Value>({
    feed: 'createBatch()',
    most: read.batch,
    within: read.within,
    clock: systemClock,
    emit: () => {},
  })
  // The keys of `asks` are those passed to `load` below.
  const load = stage(async (asks) => {
    const results: unknown = await options.many(asks.map((ask) => ask.key as Key))
    if (Array.isArray(results) && results.length === asks.length) return results
    const got = Array.isArray(results) ? `${results.length} results` : typeof results
    throw new WeirError('upstream_invalid', `createBatch(): many: expected ${asks.length} results, got ${got}`)
  })
  const keepAwake = keepAlive()
  return {
    load: (key, { signal } = {}) =>
      keepAwake(
        load({
          // The batch stage tracks slow keys by topic. Encoding keeps a key from looking like a private topic.
          topic: typeof key === 'object' ? '' : encodeURIComponent(String(key).toWellFormed()),
          key,
          priority: 'interactive',
          client: '',
          deadline: Number.POSITIVE_INFINITY,
          signal,
          refresh: false,
        }),
      ),
  }
}
