import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Identity } from '../../call.ts'
import type { Freshness } from '../../entry.ts'
import { ConfigError } from '../../errors.ts'
import { FEED_OPTIONS, LIVE_OPTIONS, LOAD_OPTIONS } from '../../options/topic.ts'
import { type Bytes, type Duration, isRecord, milliseconds, type OptionsOf, readOptions } from '../../options.ts'
import { isPush, type Push, type PushPlan } from '../../upstream/push/push.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { OriginCall } from '../../upstream/weir/origin-value.ts'
import {
  isSchema,
  type KeyOf,
  type KeyReader,
  type KeySchemas,
  keyReader,
  type PathParameter,
  type ReadKey,
} from '../key.ts'
import { type Scope, scopeOf } from '../scope.ts'
import { Serving } from '../serving.ts'

const ABSENT = Symbol('absent')

/** What one call to an origin takes: percent-encoded, its address stays well below the 32 KB that are read. */
const FROM_ORIGIN = { batch: 200, within: 10, bytes: 8192 } as const

/** The upstream has no value for a key. Made by `absent()` or `never()`; no value of an upstream can be taken for one. */
export interface Absent {
  readonly [ABSENT]: true
  readonly reason: string
  /** Milliseconds; `Infinity` for ever. */
  readonly for: number
}

/**
 * What a loader returns for a key that the upstream has no value for.
 *
 * @param reason why, in words that clients see
 * @param options `for`: how long that is believed before asking again, `'10s'` by default
 */
export function absent(reason: string, options: { readonly for?: Duration } = {}): Absent {
  return { [ABSENT]: true, reason, for: milliseconds('absent()', 'for', options.for ?? '10s') }
}

/**
 * What a loader returns for a key that will never have a value, such as an address that is none: it is not asked for again.
 *
 * @param reason why, in words that clients see
 */
export function never(reason: string): Absent {
  return { [ABSENT]: true, reason, for: Number.POSITIVE_INFINITY }
}

export function isAbsent(result: unknown): result is Absent {
  return typeof result === 'object' && result !== null && ABSENT in result
}

type Parts = Readonly<Record<string, unknown>>

/**
 * What a loader may say of one key. What the schema makes of a value must be JSON: null, booleans, texts, finite numbers, bigints, lists and plain
 * objects. Anything else, such as NaN, a Map or a Date, is refused as `upstream_invalid`, with its place in the value.
 */
type Result<Value extends StandardSchemaV1> = StandardSchemaV1.InferInput<Value> | Absent | Error

/** How to get one value with one call. */
export interface LoadOne<Key, Value extends StandardSchemaV1, Client> {
  one(key: Key, call: Client): Promise<Result<Value>>
}

/** How to get many values with one call. */
export interface LoadMany<Key, Value extends StandardSchemaV1, Client> {
  /** One result for each key, in their order. */
  many(keys: readonly Key[], call: Client): Promise<readonly Result<Value>[]>
  /** The most keys in one call. 50 by default. */
  readonly batch?: number
  /** How long the first key waits for others. `'10ms'` by default. */
  readonly within?: Duration
  /** The most text of keys in one call, where an address must stay short. */
  readonly bytes?: Bytes
}

/** The same for an upstream that answers in an order of its own: each value says which key it is of. */
export interface LoadMatched<Key, Value extends StandardSchemaV1, Client>
  extends Omit<LoadMany<Key, Value, Client>, 'many'> {
  /** Values in any order. Those of other keys are dropped, and missing ones are absent. */
  many(keys: readonly Key[], call: Client): Promise<readonly StandardSchemaV1.InferInput<Value>[]>
  /** The key of a value. */
  keyOf(value: StandardSchemaV1.InferInput<Value>): Key
  /** How long a missing value is believed to be absent. `'10s'` by default. */
  readonly missing?: Duration
}

/** What `feed()` takes. */
export interface FeedOptions<Schemas extends KeySchemas, Value extends StandardSchemaV1, Client> {
  /** The feed in metrics and in GraphQL. */
  readonly name: string
  /** A schema for each part of the key. Parts that are not in the path are query parameters. */
  readonly key: Schemas
  /** The longest text of one part of a key, in characters. 512 by default. */
  readonly maxKeyLength?: number
  /** The schema of the value. */
  readonly value: Value
  /** What is asked. None where the loader needs none, as for a value that is made of other feeds. */
  readonly from?: Upstream<Client>
  /** How to get values; not of an origin, `weir(…)`, which has them at the same address. */
  readonly load?:
    | LoadOne<KeyOf<Schemas>, Value, Client>
    | LoadMatched<KeyOf<Schemas>, Value, Client>
    | LoadMany<KeyOf<Schemas>, Value, Client>
  /** How long a value is served without asking again. `'1s'` by default. */
  readonly fresh?: Duration
  /**
   * Which callers share a value: all (`public`, the default), those of one `tenant`, or one `user`. The app's `identify` says
   * who calls, and the loader's `call.caller` whose value is wanted.
   */
  readonly scope?: Scope
  /** How long beyond that it may still be served while it is refetched. `'30s'` by default. */
  readonly stale?: Duration
  /** How long beyond `fresh` it may be served while the upstream fails; as `stale` by default. */
  readonly staleIfError?: Duration
  /** True: never served beyond `fresh`; then there is an answer of the upstream or an error. */
  readonly mustRevalidate?: boolean
  /** Percent of `fresh` by which it is shortened at random, so that keys don't expire together. 10 by default, 50 at most. */
  readonly spread?: number
  /**
   * Where a value stands in an order of the upstream, such as the slot it is of. What is lower than what is kept, as from a node that is
   * behind, is not taken, whether it was asked for or pushed: to ask then fails as if the upstream had failed. The number is part of the value, so
   * another number is another version. What is absent has none, and is always taken.
   */
  readonly order?: (value: StandardSchemaV1.InferOutput<Value>) => number | bigint | undefined
  /** Of what moment a value says it is: a Date, milliseconds since 1970 or ISO 8601. Age and freshness count from there. */
  readonly asOf?: (value: StandardSchemaV1.InferOutput<Value>) => Date | number | string | undefined
  /** Names by which `dropTagged()` finds it. */
  readonly tags?: (value: StandardSchemaV1.InferOutput<Value>, key: KeyOf<Schemas>) => readonly string[]
  /** Keys that are loaded at start, before the first client: a list, or the `file:` URL of a JSON list. */
  readonly prewarm?: readonly KeyOf<Schemas>[] | URL
  /** False: while the gateway is `strained` it serves what it has and asks for nothing. */
  readonly essential?: boolean
  /** The longest a client waits for a value. `'10s'` by default. */
  readonly deadline?: Duration
  /** How long edges may keep it (`CDN-Cache-Control`), where that is not as long as browsers. */
  readonly cdn?: Duration
  /** How watched values are kept up to date: polled every `fresh` by default, or pushed by the upstream, with `push()`. */
  readonly live?: LiveOptions<KeyOf<Schemas>> | Push<KeyOf<Schemas>, Result<Value>>
}

/** How to load is known of an origin, `weir(…)`, and must be said of any other upstream. */
type Loaded<Client> = [Client] extends [OriginCall] ? unknown : { readonly load: unknown }

export interface LiveOptions<Key = unknown> {
  /** How often a watched value is polled. `'1s'` by default. */
  readonly every?: Duration
  /** How long a value is kept up to date after its last listener left. `'30s'` by default. */
  readonly linger?: Duration
  /**
   * When the budget is too small for all that is watched, what few watch or what seldom changes is asked for less often, but no
   * less than this. `'30s'` by default.
   */
  readonly maxInterval?: Duration
  /**
   * The values of other feeds that one is made of, each as `at(feed, key)`. They are watched as long as it is, and it is reloaded when
   * one of them changes. It is as old as the oldest of them, and stale when one of them is.
   */
  readonly dependsOn?: (key: Key) => readonly At[]
  /** With `dependsOn`: how long it waits after a change for others that belong to it, so that all are sent at once. Not at all by default. */
  readonly within?: Duration
  /** With `dependsOn`: how often it is reloaded although nothing changed. `'30s'` by default. */
  readonly revalidateEvery?: Duration
}

/** A value of a feed. Made by `at()`. */
export interface At {
  readonly feed: Feed
  readonly readKey: ReadKey
}

/**
 * One value of a feed, for another that is made of it.
 *
 * @throws ConfigError when the feed is not everybody's; WeirError `bad_key`
 */
export function at<Key extends Parts>(feed: Feed<Key>, key: Key): At {
  if (!isRecord(feed) || feed.kind !== 'feed') throw new ConfigError('at()', 'feed', 'a feed', feed)
  const { scope, keys, where } = feed.plan
  if (scope !== 'public') throw new ConfigError(`at(): ${where}`, 'feed', 'a public feed', scope)
  return { feed: feed as Feed, readKey: keys.fromParts(key) }
}

/** A value as code reads it. */
export interface Reading<Value> {
  readonly value: Value
  /** `epoch:sequence`; it only rises. */
  readonly version: string
  /** Milliseconds since the upstream confirmed it. */
  readonly age: number
}

/** A feed as it was declared, ready to run. Times in milliseconds. */
export interface FeedPlan {
  readonly path: string
  readonly name: string
  readonly where: string
  readonly keys: KeyReader
  readonly value: StandardSchemaV1
  readonly upstream: Upstream | undefined
  readonly load: (keys: readonly unknown[], client: unknown, topics: readonly string[]) => Promise<readonly unknown[]>
  readonly batch: number
  readonly within: number
  /** The most text of keys in one call. */
  readonly bytes: number
  readonly keyOf: ((value: unknown) => unknown) | undefined
  readonly missing: number
  readonly scope: Scope
  readonly freshness: Freshness
  readonly order: ((value: unknown) => number | bigint | undefined) | undefined
  readonly mustRevalidate: boolean
  readonly essential: boolean
  readonly prewarm: readonly unknown[] | URL
  readonly cdn: number | undefined
  readonly deadline: number
  readonly every: number
  readonly linger: number
  readonly maxInterval: number
  /** How its values come by themselves. */
  readonly push: PushPlan | undefined
  readonly dependsOn: DependencyPlan | undefined
}

/** What values are made of. Times in milliseconds. */
export interface DependencyPlan {
  readonly parts: (key: unknown) => readonly At[]
  /** How long further changes may follow the first before the value is reloaded. */
  readonly within: number
  /** How often values are reloaded although nothing changed. */
  readonly revalidateEvery: number
}

/** What runs a feed in one site. */
export interface FeedRunner {
  get(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): Promise<Reading<unknown>>
  drop(parts: Readonly<Record<string, unknown>>, identity: Identity | undefined): Promise<void>
  dropTagged(tag: string): Promise<number>
}

/** The values of a feed, as code reads and drops them. */
export interface ServedFeed<Key = never, Value = unknown> {
  /**
   * The value, from memory or from the upstream.
   *
   * @param identity whose value it is, for a feed with a scope
   * @throws WeirError `absent` when the upstream has none, `bad_key` when the key is refused, or why it could not be had
   */
  get(key: Key, identity?: Identity): Promise<Reading<Value>>
  /** Stops serving the cached value of a key: the next reader gets what the upstream has then. Watchers get it at once. */
  drop(key: Key, identity?: Identity): Promise<void>
  /** Drops all values that have this tag, and returns how many there were. */
  dropTagged(tag: string): Promise<number>
}

/**
 * A JSON value that many want and one upstream can give; its URL serves it in every form. Its own methods need exactly one gateway that serves
 * it; among several, `gateway.of(feed)` has them.
 */
export interface Feed<Key = never, Value = unknown> extends ServedFeed<Key, Value> {
  readonly kind: 'feed'
  readonly path: string
  readonly name: string
  readonly plan: FeedPlan
  /** The sites that serve it. */
  readonly serving: Serving<FeedRunner>
}

/**
 * Declares a feed.
 *
 * @param path its address, such as `/prices/:mint`: each `:name` needs a schema in `key`
 * @throws ConfigError naming the option, what was expected and what came
 */
export function feed<
  const Path extends string,
  Schemas extends KeySchemas & Record<PathParameter<Path>, StandardSchemaV1>,
  Value extends StandardSchemaV1,
  Client,
>(
  path: Path,
  options: FeedOptions<Schemas, Value, Client> & Loaded<Client>,
): Feed<KeyOf<Schemas>, StandardSchemaV1.InferOutput<Value>> {
  const where = `feed ${JSON.stringify(path)}`
  const read = readOptions(where, FEED_OPTIONS, options)
  if (!isSchema(read.value)) throw new ConfigError(where, 'value', 'a schema (zod, valibot, arktype, …)', read.value)
  if (read.from !== undefined && !(isRecord(read.from) && read.from.kind === 'upstream'))
    throw new ConfigError(where, 'from', 'an upstream such as http(…)', read.from)
  const origin = options.from?.origin
  const scope = scopeFor(where, read)
  for (const name of ['load', 'live'] as const) {
    if (origin !== undefined && (name === 'load' ? read.load !== undefined : isPush(read.live)))
      throw new ConfigError(where, name, 'nothing that an origin does by itself', read[name])
  }
  const plan: FeedPlan = {
    path,
    name: read.name,
    where,
    keys: keyReader(where, path, read.key, undefined, read.maxKeyLength),
    value: read.value,
    upstream: options.from,
    ...(origin === undefined ? loadOf(where, read.load) : loadFrom(where, scope)),
    scope,
    freshness: freshnessOf(where, read),
    order: read.order as FeedPlan['order'],
    mustRevalidate: read.mustRevalidate,
    essential: read.essential,
    prewarm: warmOf(where, read.prewarm),
    cdn: read.cdn,
    deadline: read.deadline,
    ...liveOf(where, read),
  }
  const serving = new Serving<FeedRunner>(where)
  const methods = servedFeed<KeyOf<Schemas>, StandardSchemaV1.InferOutput<Value>>(() => serving.only)
  return { kind: 'feed', path, name: read.name, plan, serving, ...methods }
}

/** @param runner what runs the feed now; it throws when nothing does */
export function servedFeed<Key, Value>(runner: () => FeedRunner): ServedFeed<Key, Value> {
  return {
    // Thousands may wait for one value: each gets the runner's promise, without another one around it.
    get(key, identity) {
      try {
        return runner().get(key as Parts, identity) as Promise<Reading<Value>>
      } catch (thrown) {
        return Promise.reject(thrown)
      }
    },
    async drop(key, identity) {
      return runner().drop(key as Parts, identity)
    },
    async dropTagged(tag) {
      return runner().dropTagged(tag)
    },
  }
}

function liveOf(
  where: string,
  { live, fresh, scope }: OptionsOf<typeof FEED_OPTIONS>,
): Pick<FeedPlan, 'every' | 'linger' | 'maxInterval' | 'push' | 'dependsOn'> {
  if (!isPush(live)) {
    const options = live ?? { every: `${Math.max(1, fresh)}ms` }
    const { dependsOn, within, revalidateEvery, ...read } = readOptions(`${where}: live`, LIVE_OPTIONS, options)
    if (dependsOn === undefined) return { ...read, push: undefined, dependsOn }
    if (typeof dependsOn !== 'function') throw new ConfigError(`${where}: live`, 'dependsOn', 'a function', dependsOn)
    return {
      ...read,
      push: undefined,
      dependsOn: { parts: dependsOn as DependencyPlan['parts'], within, revalidateEvery },
    }
  }
  // A push connection is one caller: its values may not be for others.
  if (scope !== 'public') throw new ConfigError(where, 'scope', '"public" for a feed with live: push(…)', scope)
  const { every, linger, maxInterval } = live.plan
  return { every, linger, maxInterval, push: live.plan, dependsOn: undefined }
}

/**
 * How values of an origin are had: of many topics at once, under the versions they have there.
 *
 * @throws ConfigError when they are not everybody's: a region is one caller of its origin, and who calls the region is not known there
 */
export function loadFrom(
  where: string,
  scope: Scope,
): Pick<FeedPlan, 'load' | 'batch' | 'within' | 'bytes' | 'keyOf' | 'missing'> {
  if (scope !== 'public') throw new ConfigError(where, 'scope', '"public" for what comes from an origin', scope)
  const load: FeedPlan['load'] = (_keys, client, topics) => (client as OriginCall).values(topics)
  return { load, ...FROM_ORIGIN, keyOf: undefined, missing: 0 }
}

function scopeFor(where: string, { scope, prewarm }: OptionsOf<typeof FEED_OPTIONS>): Scope {
  const known = scopeOf(where, scope)
  if (known !== 'public' && prewarm !== undefined)
    throw new ConfigError(where, 'prewarm', 'nothing, since no caller is known at start', prewarm)
  return known
}

function freshnessOf(where: string, read: OptionsOf<typeof FEED_OPTIONS>): Freshness {
  const { fresh, mustRevalidate, spread, asOf, order, tags } = read
  for (const [name, given] of Object.entries({ asOf, order, tags })) {
    if (given !== undefined && typeof given !== 'function') throw new ConfigError(where, name, 'a function', given)
  }
  const stale = mustRevalidate ? 0 : read.stale
  const staleIfError = mustRevalidate ? 0 : (read.staleIfError ?? read.stale)
  return {
    fresh,
    stale,
    staleIfError,
    spread: spread / 100,
    asOf: asOf === undefined ? undefined : (value) => momentOf((asOf as (value: unknown) => unknown)(value)),
    tags: tags as Freshness['tags'],
  }
}

/** Milliseconds since 1970. */
function momentOf(said: unknown): number | undefined {
  const moment = said instanceof Date ? said.getTime() : typeof said === 'string' ? Date.parse(said) : said
  return typeof moment === 'number' && Number.isFinite(moment) ? moment : undefined
}

function warmOf(where: string, given: unknown): readonly unknown[] | URL {
  if (given === undefined) return []
  if (Array.isArray(given) || (given instanceof URL && given.protocol === 'file:')) return given
  throw new ConfigError(where, 'prewarm', 'a list of keys, or the file: URL of one', given)
}

function loadOf(
  where: string,
  given: unknown,
): Pick<FeedPlan, 'load' | 'batch' | 'within' | 'bytes' | 'keyOf' | 'missing'> {
  if (isRecord(given) && typeof given.one === 'function') {
    for (const name of Object.keys(given)) {
      if (name !== 'one') throw new ConfigError(where, `load.${name}`, 'nothing besides one()', given[name])
    }
    const one = given.one as (key: unknown, client: unknown) => Promise<unknown>
    const load: FeedPlan['load'] = async ([key], client) => [await one(key, client)]
    return { load, batch: 1, within: 0, bytes: Number.POSITIVE_INFINITY, keyOf: undefined, missing: 0 }
  }
  if (!isRecord(given)) throw new ConfigError(where, 'load', '{ one } or { many }', given)
  const read = readOptions(`${where}: load`, LOAD_OPTIONS, given)
  const { many, keyOf, batch, within, bytes = Number.POSITIVE_INFINITY, missing } = read
  if (typeof many !== 'function') throw new ConfigError(where, 'load.many', 'a function', many)
  if (keyOf !== undefined && typeof keyOf !== 'function')
    throw new ConfigError(where, 'load.keyOf', 'a function', keyOf)
  return { load: many as FeedPlan['load'], batch, within, bytes, keyOf: keyOf as FeedPlan['keyOf'], missing }
}
