import { ConfigError } from '../../errors.ts'
import { STREAM_OPTIONS } from '../../options/topic.ts'
import { isRecord, readOptions } from '../../options.ts'
import type { Feed } from './feed.ts'

/** What `stream()` takes. */
export interface StreamOptions<Key> {
  readonly of: Feed<Key, unknown>
  /** The query parameter that names keys, with commas between them: the part of the key that has this stream's values. */
  readonly choose?: { readonly query: string; readonly part: keyof Key & string }
  /** Keys that a stream of everything keeps watched. */
  readonly always?: readonly Key[]
  /** The most keys a client may choose. 500 by default. */
  readonly maxKeys?: number
}

/** A live stream of many values of one feed, at an address of its own. */
export interface Stream {
  readonly kind: 'stream'
  readonly path: string
  readonly of: Feed
  readonly choose: { readonly query: string; readonly part: string } | undefined
  readonly always: readonly Readonly<Record<string, unknown>>[]
  readonly maxKeys: number
}

/**
 * Declares a stream: the keys that a client chooses, or, where it chooses none, every value that is watched.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function stream<Key extends Readonly<Record<string, unknown>>>(
  path: string,
  options: StreamOptions<Key>,
): Stream {
  const where = `stream ${JSON.stringify(path)}`
  const read = readOptions(where, STREAM_OPTIONS, options)
  if (!/^(\/[A-Za-z0-9_.~-]+)+$/.test(path))
    throw new ConfigError(where, 'path', 'a path without parameters, such as "/api/stream"', path)
  if (!isRecord(read.of) || read.of.kind !== 'feed') throw new ConfigError(where, 'of', 'a feed', read.of)
  if (options.of.plan.scope !== 'public') throw new ConfigError(where, 'of', 'a public feed', options.of.plan.scope)
  const { choose, always } = options
  if (
    choose !== undefined &&
    !(isRecord(choose) && typeof choose.query === 'string' && typeof choose.part === 'string')
  ) {
    throw new ConfigError(where, 'choose', "{ query: 'mints', part: 'mint' }", choose)
  }
  const plain = {
    kind: 'stream',
    path,
    of: options.of as Feed,
    choose,
    always: always ?? [],
    maxKeys: read.maxKeys,
  } as const
  for (const key of plain.always) plain.of.plan.keys.fromParts(key)
  return plain
}
