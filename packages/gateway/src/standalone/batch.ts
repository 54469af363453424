import { batch } from '../batch/batch.ts'
import { keepAlive, systemClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { BATCH_OPTIONS } from '../options/topic.ts'
import { type Duration, readOptions } from '../options.ts'

/** The options of `createBatch()`. */
export interface BatchOptions<Key, Value> {
  /** One result for each key, in the same order: a value, or an Error for that key alone. */
  many(keys: readonly Key[]): Promise<readonly (Value | Error)[]>
  /** Maximum keys per call. 50 by default. */
  readonly batch?: number
  /** How long the first key waits for others. `'10ms'` by default. */
  readonly within?: Duration
}

/** Collects keys into calls. */
export interface Batch<Key, Value> {
  /**
   * Returns the value of one key.
   *
   * @throws the error that `many` returned or threw for it; `upstream_invalid` unless `many` gives one result per key;
   * the signal's reason if it is aborted
   */
  load(key: Key, options?: { readonly signal?: AbortSignal }): Promise<Value>
}

/**
 * Combines simultaneous loads into one call. A key that fails or delays its batch is split out of it, so a key may be
 * requested twice.
 *
 * @throws ConfigError with the option, the expected and the given value
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
  // The stage passes on the keys that it gets from `load` below.
  const load = stage(async (asks) => {
    const results: unknown = await options.many(asks.map((ask) => ask.key as Key))
    if (Array.isArray(results) && results.length === asks.length) return results
    const got = Array.isArray(results) ? `${results.length} results` : typeof results
    throw new WeirError('upstream_invalid', `createBatch(): many: expected ${asks.length} results, got ${got}`)
  })
  const alive = keepAlive()
  return {
    load: (key, { signal } = {}) =>
      alive(
        load({
          // The stage remembers slow keys by this text. Encoded, so that no key looks like a private topic.
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
