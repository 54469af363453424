import type { Identity } from '../call.ts'
import { ConfigError } from '../errors.ts'
import { SOCKET_OPTIONS } from '../options/topic.ts'
import { isRecord, readOptions } from '../options.ts'
import type { Feed } from './feed/feed.ts'
import type { ReadKey } from './key.ts'

/** A client of an app's own WebSocket. */
export interface SocketClient {
  /** The caller, as the app's `identify` said when it connected. */
  readonly identity: Identity | undefined
  /** Sends it a message, as JSON. One that is gone gets nothing. */
  send(message: unknown): void
  /** Ends the connection. */
  close(): void
}

/** A value that the clients of an app's own WebSocket are sent. Made by `follow()`. */
export interface Follow {
  readonly kind: 'follow'
  readonly feed: Feed
  readonly readKey: ReadKey
  readonly say: (value: unknown) => unknown
}

/** What `socket()` takes. */
export interface SocketOptions {
  /** The socket in metrics and in errors. */
  readonly name: string
  /** What each client is sent when it connects, and at each change. */
  readonly follow?: readonly Follow[]
  /** What is done with a message of a client, read as JSON. What it throws is logged, and the client hears nothing. */
  readonly receive?: (message: unknown, client: SocketClient) => unknown
}

/** A WebSocket with an app's own messages, at an address of its own. */
export interface AppSocket {
  readonly kind: 'socket'
  readonly path: string
  readonly name: string
  readonly follow: readonly Follow[]
  readonly receive: (message: unknown, client: SocketClient) => unknown
}

/**
 * A value for `socket()` to send to its clients.
 *
 * @param say the message that says a value; it is made once for each version, however many get it
 * @throws ConfigError when the feed is not everybody's; WeirError `bad_key`
 */
export function follow<Key extends Readonly<Record<string, unknown>>, Value>(
  feed: Feed<Key, Value>,
  key: Key,
  say: (value: Value) => unknown,
): Follow {
  if (!isRecord(feed) || feed.kind !== 'feed') throw new ConfigError('follow()', 'feed', 'a feed', feed)
  const { scope, keys, where } = feed.plan
  if (scope !== 'public') throw new ConfigError(`follow(): ${where}`, 'feed', 'a public feed', scope)
  if (typeof say !== 'function') throw new ConfigError(`follow(): ${where}`, 'say', 'a function', say)
  return { kind: 'follow', feed: feed as Feed, readKey: keys.fromParts(key), say: say as Follow['say'] }
}

/**
 * Declares a WebSocket that speaks an app's own messages, each a JSON text. New apps need none: every feed is at `/weir/ws` already.
 *
 * ```ts
 * const state = (value: State) => ({ type: 'stateUpdate', state: value })
 *
 * socket('/ws', {
 *   name: 'lottery',
 *   follow: [follow(lottery, {}, state)],
 *   receive: async (message, client) => {
 *     if (GetState.safeParse(message).success) client.send(state((await lottery.get({})).value))
 *   },
 * })
 * ```
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function socket(path: string, options: SocketOptions): AppSocket {
  const where = `socket ${JSON.stringify(path)}`
  const { name } = readOptions(where, SOCKET_OPTIONS, options)
  const { follow: follows = [], receive = () => {} } = options
  if (!/^(\/[A-Za-z0-9_.~-]+)+$/.test(path))
    throw new ConfigError(where, 'path', 'a path without parameters, such as "/ws"', path)
  if (!Array.isArray(follows) || !follows.every((one) => isRecord(one) && one.kind === 'follow'))
    throw new ConfigError(where, 'follow', 'a list of follow(feed, key, say)', follows)
  if (typeof receive !== 'function') throw new ConfigError(where, 'receive', 'a function', receive)
  return { kind: 'socket', path, name, follow: follows, receive }
}
