import { batch } from '../batch/batch.ts'
import { keepAlive, systemClock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import { BATCH_OPTIONS } from '../options/topic.ts'
import { type Duration, readOptions } from '../options.ts'

/** What `createBatch()` takes. */
export interface BatchOptions<Key, Value> {
  /** One result for each key, in their order: a value, or an Error for that key alone. */
  many(keys: readonly Key[]): Promise<readonly (Value | Error)[]>
  /** The most keys in one call. 50 by default. */
  readonly batch?: number
  /** How long the first key waits for others. `'10ms'` by default. */
  readonly within?: Duration
}

/** Gathers keys into calls. */
export interface Batch<Key, Value> {
  /**
   * The value of one key.
   *
   * @throws what `many` gave or threw for it; `upstream_invalid` when it gave anything but one result for each key; the signal's reason when it was aborted
   */
  load(key: Key, options?: { readonly signal?: AbortSignal }): Promise<Value>
}

/**
 * Makes one call of many that come at the same time. A key that spoils or delays its batch is split out of it, so a key may be asked for twice.
 *
 * @throws ConfigError naming the option, what was expected and what came
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
  // The stage hands back the keys it was handed here, and nothing else.
  const load = stage(async (asks) => {
    const results: unknown = await options.many(asks.map((ask) => ask.key as Key))
    if (Array.isArray(results) && results.length === asks.length) return results
    const got = Array.isArray(results) ? `${results.length} results` : typeof results
    throw new WeirError('upstream_invalid', `createBatch(): many: expected ${asks.length} results, got ${got}`)
  })
  const awaited = keepAlive()
  return {
    load: (key, { signal } = {}) =>
      awaited(
        load({
          // Slow keys are remembered by this text. Encoded, so that no key reads as a private topic.
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
