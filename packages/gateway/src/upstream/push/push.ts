import type { Problem } from '@weir/protocol'
import { ConfigError, withoutSecrets } from '../../errors.ts'
import { PUSH_OPTIONS } from '../../options/topic.ts'
import { type Duration, readOptions } from '../../options.ts'

/** How an upstream names a subscription of ours. */
export type PushToken = string | number | bigint

/**
 * What a message of an upstream says:
 * - `key` and `value`: the value of a key now; as a function, it is called only when the key is watched, and undefined means that it is
 *   another now;
 * - `key` alone: it is another now, and is to be asked for;
 * - `token` in place of `key`: the same, of all keys of the subscription that was accepted with this token;
 * - `accepted`: the subscription with this id is made, and messages of it may carry this `token`;
 * - `refused`: it is not, and why;
 * - `over`: the connection is to be given up, why, and after how many milliseconds at least to come back.
 */
export type PushNews<Key, Value> =
  | { readonly key: Key; readonly value?: PushedValue<Key, Value> }
  | { readonly token: PushToken; readonly value?: PushedValue<Key, Value> }
  | { readonly accepted: number; readonly token?: PushToken }
  | { readonly refused: number; readonly reason: string }
  | { readonly over: string; readonly after?: number }

/** A value, or what makes it for a key that is watched. */
export type PushedValue<Key, Value> = Value | ((key: Key) => Value | undefined)

/** What `push()` takes. Messages are JSON, one in each text. */
export interface PushOptions<Key, Value> {
  /** Its WebSocket, `ws:` or `wss:`; as a function, asked before each connection. */
  readonly url: string | (() => string | Promise<string>)
  /** Headers of the handshake. */
  readonly headers?: Readonly<Record<string, string>>
  /** What is said first on each connection, such as who we are. */
  readonly greet?: () => readonly unknown[]
  /** The message that asks for a key. `id` is another for each subscription of a connection: 1, 2, 3, … */
  readonly subscribe: (key: Key, id: number) => unknown
  /** The message that ends this, where there is one. */
  readonly unsubscribe?: (key: Key, id: number, token: PushToken | undefined) => unknown
  /**
   * What is subscribed to for a key. Keys for which it is the same have one subscription together, `subscribe` being called with one of
   * them; messages of it name their keys, or are for all of them. By default each key has its own.
   */
  readonly shared?: (key: Key) => string
  /** What a message says; nothing, for what is of no interest. */
  readonly read: (message: unknown) => PushNews<Key, Value> | readonly PushNews<Key, Value>[] | undefined
  /** Whether the upstream says that a subscription is accepted. Else one counts as made when it is sent. */
  readonly acknowledges?: boolean
  /** How often a value is asked for although it is pushed, in case something was lost, and a refused key again. `'30s'` by default. */
  readonly revalidateEvery?: Duration
  /** A connection that is silent for longer is given up; half as long, and it is pinged. `'20s'` by default. */
  readonly silenceTimeout?: Duration
  /** The most subscriptions; keys beyond that are polled. 1,000 by default. */
  readonly maxSubscriptions?: number
  /** The most messages a second that we send. 100 by default. */
  readonly messageRate?: number
  /** How often a value is asked for while it can't be pushed. `'1s'` by default. */
  readonly every?: Duration
  /** As of `live` without push. */
  readonly linger?: Duration
  readonly maxInterval?: Duration
}

/** What a connection to an upstream that pushes needs to know. Times in milliseconds. */
export interface PushLinkPlan {
  readonly url: () => string | Promise<string>
  readonly headers: Readonly<Record<string, string>>
  readonly greet: () => readonly unknown[]
  readonly subscribe: (key: unknown, id: number) => unknown
  readonly unsubscribe: ((key: unknown, id: number, token: PushToken | undefined) => unknown) | undefined
  readonly shared?: ((key: unknown) => string) | undefined
  readonly read: (message: unknown) => unknown
  readonly acknowledges: boolean
  /** Whether it says also what a value is when a subscription begins, and how old it is; else only what changes. */
  readonly tells: boolean
  readonly revalidateEvery: number
  readonly silenceTimeout: number
  readonly maxSubscriptions: number
  readonly messageRate: number
  /** Messages that a new connection takes at once. */
  readonly burst: number
}

/** A push as it was declared. Times in milliseconds. */
export interface PushPlan extends PushLinkPlan {
  readonly every: number
  readonly linger: number
  readonly maxInterval: number
}

/** How values come by themselves, for `live` of a feed. */
export interface Push<Key, Value> {
  readonly kind: 'push'
  readonly plan: PushPlan
  /** Only for the type checker: of which keys and values it is. */
  readonly of?: (key: Key) => Value
}

/** One connection to an upstream that pushes, and what we have asked for there. */
export interface PushSource {
  /** Asks for a key, now and on each connection to come, unless there are too many. `seen`: when somebody last listened to it. */
  follow(topic: string, key: unknown, seen: () => number): void
  leave(topic: string): void
  /** Whether what changes would be heard of. */
  hears(topic: string): boolean
  /** When the upstream was heard last, on the monotonic clock. */
  heardAt(topic: string): number
  /** How often what is heard is asked for all the same, in milliseconds. */
  readonly revalidateEvery: number
  /** It was asked for at this moment and is another, though it would have been heard of: unless that is heard soon, it is subscribed to again. */
  doubt?(topic: string, asked: number): void
  /** Whether what a topic is now, and how old, is said or about to be: nobody needs to ask. */
  tells(topic: string): boolean
  /**
   * What it says of a version: whether that can't be confirmed, until when this held, and, of a value made of others, from when on one of those
   * is stale; moments on the monotonic clock.
   */
  said?(
    topic: string,
    version: string,
  ): { readonly stale: boolean; readonly at: number; readonly from?: number } | undefined
  stop(): void
}

/** What a push source tells of a topic. */
export interface PushListener {
  /** Its changes are heard of from now on; what it is now was not said. */
  began(topic: string): void
  /** What it is now. */
  came(topic: string, value: unknown): void
  /** It is another now. */
  changed(topic: string): void
  /** This version still is so, as of this moment of the wall clock. */
  confirmed(topic: string, version: string, checkedAt: number): void
  /** It can't be had. */
  failed(topic: string, problem: Problem): void
  /** The topic of a key of a message. Throws when that is none. */
  topicOf(key: unknown): string
}

/**
 * Has the values of a feed pushed by a WebSocket of the upstream: one subscription for each key that is watched, or for those that share one. After a break all
 * keys are subscribed to again and asked for anew; while it lasts, and where a key is refused, they are polled.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function push<Key, Value>(options: PushOptions<Key, Value>): Push<Key, Value> {
  const where = 'push()'
  const read = readOptions(where, PUSH_OPTIONS, options)
  const { url, greet = () => [] } = options
  for (const name of ['subscribe', 'read', 'unsubscribe', 'shared', 'greet'] as const) {
    const given: unknown = options[name]
    if (typeof given !== 'function' && (given !== undefined || name === 'subscribe' || name === 'read'))
      throw new ConfigError(where, name, 'a function', given)
  }
  if (typeof url !== 'function' && !isSocketAddress(url))
    throw new ConfigError(where, 'url', 'a ws: or wss: address, or a function that answers one', withoutSecrets(url))
  const plan: PushPlan = {
    ...read,
    tells: false,
    burst: read.messageRate,
    url: typeof url === 'function' ? url : () => url,
    headers: options.headers ?? {},
    greet,
    subscribe: options.subscribe as PushPlan['subscribe'],
    unsubscribe: options.unsubscribe as PushPlan['unsubscribe'],
    shared: options.shared as PushPlan['shared'],
    read: options.read,
  }
  return { kind: 'push', plan }
}

/** Whether a WebSocket can be opened there: `ws:` or `wss:` without a fragment (RFC 6455, 3). */
export function isSocketAddress(url: unknown): boolean {
  const address = typeof url === 'string' ? URL.parse(url) : null
  return address !== null && /^wss?:$/.test(address.protocol) && address.hash === ''
}

export function isPush(given: unknown): given is Push<unknown, unknown> {
  return typeof given === 'object' && given !== null && 'kind' in given && given.kind === 'push'
}
