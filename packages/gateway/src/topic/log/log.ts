import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { LogBounds } from '../../backend/ports.ts'
import type { Identity, MaybePromise } from '../../call.ts'
import { ConfigError } from '../../errors.ts'
import { HISTORY_OPTIONS, LOG_OPTIONS } from '../../options/topic.ts'
import { type Duration, isRecord, readOptions } from '../../options.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { OriginCall } from '../../upstream/weir/origin-value.ts'
import type { At } from '../feed/feed.ts'
import { isSchema, type KeyOf, type KeyReader, type KeySchemas, keyReader, type PathParameter } from '../key.ts'
import { type Scope, scopeOf } from '../scope.ts'
import { Serving } from '../serving.ts'

/** What `log()` takes. */
export interface LogOptions<Schemas extends KeySchemas, Event extends StandardSchemaV1> {
  /** The log in metrics and in GraphQL. */
  readonly name: string
  /** A schema for each part of the key. Parts that are not in the path are query parameters. */
  readonly key: Schemas
  /** The schema of an event. */
  readonly event: Event
  /** Another gateway, `weir(…)`, whose log of the same address it follows. Then events are published there, and not here. */
  readonly from?: Upstream<OriginCall>
  /** Which callers share its events: all (`public`, the default), those of one `tenant`, or one `user`. */
  readonly scope?: Scope
  /** What of the past is kept of each key. */
  readonly history?: HistoryOptions
  /**
   * The value of a feed whose loader publishes what is new, as `at(feed, key)`: it is watched as long as the log has listeners, and read before the log is.
   * The log is stale when it is.
   */
  readonly dependsOn?: (key: KeyOf<Schemas>) => At
  /** Which clients may publish: none by default, all with `true`, or those for whom it answers true. */
  readonly mayPublish?: boolean | MayPublish<KeyOf<Schemas>>
}

/** Whether a client may publish to this key of a log; `identity` is what the app's `identify` says of it. */
export type MayPublish<Key> = (from: {
  readonly key: Key
  readonly identity: Identity | undefined
}) => MaybePromise<boolean>

export interface HistoryOptions {
  /** The most events. 1,000 by default, 100,000 at most. */
  readonly events?: number
  /** How long an event is kept. `'1h'` by default. */
  readonly age?: Duration
}

/** Where to read on, and how far. */
export interface LogRange {
  /** The position of the last event that the reader has. By default it reads from the oldest that is kept. */
  readonly after?: string
  /** The most events: 1 to 1,000, which is the default. */
  readonly most?: number
}

/** Events of a log in order, oldest first, as code reads them. */
export interface LogReading<Event> {
  readonly events: readonly {
    /** `epoch:offset`; it only rises. */
    readonly position: string
    /** When it was published, milliseconds since 1970. */
    readonly at: number
    readonly event: Event
  }[]
  /** The position of the oldest event that is kept; of the next to come when none is. */
  readonly oldest: string
  /** The position of the newest event. */
  readonly newest: string
  /** Events that were asked for and are gone: those after `from`, up to and including `to`. */
  readonly gap?: { readonly from: string; readonly to: string }
}

type Parts = Readonly<Record<string, unknown>>

/** A log as it was declared, ready to run. */
export interface LogPlan {
  readonly path: string
  readonly name: string
  readonly where: string
  readonly keys: KeyReader
  readonly event: StandardSchemaV1
  /** The origin that it follows. */
  readonly upstream: Upstream<OriginCall> | undefined
  readonly scope: Scope
  /** Age in milliseconds. */
  readonly history: LogBounds
  /** The value whose loader publishes what is new. */
  readonly dependsOn: ((key: unknown) => At) | undefined
  /** Undefined: no client may. */
  readonly mayPublish: MayPublish<Parts> | undefined
}

/** What runs a log in one site. */
export interface LogRunner {
  publish(parts: Parts, event: unknown, identity: Identity | undefined): Promise<string>
  publishAfter(parts: Parts, after: string, event: unknown, identity: Identity | undefined): Promise<string | undefined>
  publishAll(parts: Parts, events: AsyncIterable<unknown>, identity: Identity | undefined): Promise<string | undefined>
  read(parts: Parts, range: LogRange, identity: Identity | undefined): Promise<LogReading<unknown>>
}

/** The events of a log, as code publishes and reads them. */
export interface ServedLog<Key = never, Given = never, Event = unknown> {
  /**
   * Adds an event, and returns its position when it is kept: `epoch:offset`. Listeners are sent it.
   *
   * @param identity whose log it is, for one with a scope
   * @throws WeirError `bad_event` when its schema refuses it, `bad_key` when the key is refused
   */
  publish(key: Key, event: Given, identity?: Identity): Promise<string>
  /**
   * Adds an event if the newest still is the one at `after`, and returns its position; otherwise adds nothing, and returns undefined. So several
   * processes that publish one source, such as a chain, publish each of its events once: one that was late reads on and tries again.
   *
   * @param after `newest` of a reading, or the position of the last event that was published
   * @throws WeirError as `publish`, and `bad_version`
   */
  publishAfter(key: Key, after: string, event: Given, identity?: Identity): Promise<string | undefined>
  /**
   * Adds the events of a stream as they come, and returns the position of the last; undefined when there was none. When the stream
   * fails, or an event is refused, the events before it stay.
   *
   * @throws what the stream throws, and as `publish`
   */
  publishAll(key: Key, events: AsyncIterable<Given>, identity?: Identity): Promise<string | undefined>
  /**
   * Events that are kept, oldest first.
   *
   * @throws WeirError `bad_version` when `after` is no position, `bad_request` when `most` is out of range
   */
  read(key: Key, range?: LogRange, identity?: Identity): Promise<LogReading<Event>>
}

/**
 * Events in order, such as trades, or the tokens of a language model; its URL serves them in every form. Its own methods need exactly one gateway
 * that serves it; among several, `gateway.of(log)` has them.
 */
export interface Log<Key = never, Given = never, Event = unknown> extends ServedLog<Key, Given, Event> {
  readonly kind: 'log'
  readonly path: string
  readonly name: string
  readonly plan: LogPlan
  /** The sites that serve it. */
  readonly serving: Serving<LogRunner>
}

/** Query parameters of a log's forms, besides `as`. */
export const LOG_PARAMETERS = {
  json: ['as', 'after', 'most'],
  sse: ['as', 'since'],
  poll: ['as', 'after', 'most', 'wait'],
} as const

/**
 * Declares a log.
 *
 * @param path its address, such as `/trades/:mint`: each `:name` needs a schema in `key`
 * @throws ConfigError naming the option, what was expected and what came
 */
export function log<
  const Path extends string,
  Schemas extends KeySchemas & Record<PathParameter<Path>, StandardSchemaV1>,
  Event extends StandardSchemaV1,
>(
  path: Path,
  options: LogOptions<Schemas, Event>,
): Log<KeyOf<Schemas>, StandardSchemaV1.InferInput<Event>, StandardSchemaV1.InferOutput<Event>> {
  const where = `log ${JSON.stringify(path)}`
  const read = readOptions(where, LOG_OPTIONS, options)
  if (!isSchema(read.event)) throw new ConfigError(where, 'event', 'a schema (zod, valibot, arktype, …)', read.event)
  const scope = scopeOf(where, read.scope)
  if (options.from !== undefined) followable(where, scope, options.from)
  if (read.dependsOn !== undefined && typeof read.dependsOn !== 'function')
    throw new ConfigError(where, 'dependsOn', 'a function', read.dependsOn)
  const reserved = Object.values(LOG_PARAMETERS).flat()
  const plan: LogPlan = {
    path,
    name: read.name,
    where,
    keys: keyReader(where, path, read.key, reserved),
    event: read.event,
    upstream: options.from,
    scope,
    history: readOptions(`${where}: history`, HISTORY_OPTIONS, read.history ?? {}),
    dependsOn: read.dependsOn as LogPlan['dependsOn'],
    mayPublish: publishersOf(where, read.mayPublish),
  }
  const serving = new Serving<LogRunner>(where)
  const methods = servedLog<KeyOf<Schemas>, StandardSchemaV1.InferInput<Event>, StandardSchemaV1.InferOutput<Event>>(
    () => serving.only,
  )
  return { kind: 'log', path, name: read.name, plan, serving, ...methods }
}

/** @param runner what runs the log now; it throws when nothing does */
export function servedLog<Key, Given, Event>(runner: () => LogRunner): ServedLog<Key, Given, Event> {
  return {
    async publish(key, event, identity) {
      return runner().publish(key as Parts, event, identity)
    },
    async publishAfter(key, after, event, identity) {
      return runner().publishAfter(key as Parts, after, event, identity)
    },
    async publishAll(key, events, identity) {
      return runner().publishAll(key as Parts, events, identity)
    },
    async read(key, range = {}, identity) {
      return (await runner().read(key as Parts, range, identity)) as LogReading<Event>
    },
  }
}

/** @throws ConfigError when a log can't be followed there */
export function followable(where: string, scope: Scope, from: Upstream<OriginCall>): void {
  if (!isRecord(from) || from.origin === undefined)
    throw new ConfigError(where, 'from', 'an origin such as weir(…)', from)
  if (scope !== 'public') throw new ConfigError(where, 'scope', '"public" for what comes from an origin', scope)
}

function publishersOf(where: string, given: unknown): MayPublish<Parts> | undefined {
  if (given === undefined || given === false) return undefined
  if (given === true) return () => true
  if (typeof given !== 'function') throw new ConfigError(where, 'mayPublish', 'true, false or a function', given)
  return given as MayPublish<Parts>
}
