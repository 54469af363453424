import { ConfigError, show } from '../../errors.ts'
import { stringifyJson } from '../../json.ts'
import { JSON_RPC_PUSH_OPTIONS } from '../../options/topic.ts'
import { isRecord, readOptions } from '../../options.ts'
import { type Push, type PushNews, type PushOptions, type PushToken, push } from '../push/push.ts'
import { failureIn } from './answer.ts'
import type { JsonRpcParams } from './json-rpc.ts'

/** What `jsonRpcPush()` takes. */
export interface JsonRpcPushOptions<Key, Value>
  extends Pick<
    PushOptions<Key, Value>,
    | 'url'
    | 'headers'
    | 'revalidateEvery'
    | 'silenceTimeout'
    | 'maxSubscriptions'
    | 'messageRate'
    | 'every'
    | 'linger'
    | 'maxInterval'
  > {
  /**
   * Method and parameters that ask for a key, such as `['accountSubscribe', [address, { encoding: 'base64' }]]`. Keys for which they are
   * the same have one subscription together, such as one `programSubscribe` for all token accounts of a mint.
   */
  readonly subscribe: (key: Key) => readonly [method: string, params?: JsonRpcParams]
  /** The method that ends a subscription, such as `accountUnsubscribe`. */
  readonly unsubscribe: string
  /** Of which key a notification tells; nothing, when of none. By default it is for all keys of its subscription. */
  readonly keyOf?: (result: unknown) => Key | undefined
  /**
   * What a notification says of a key, such as `{ context: { slot }, value }` of an account, whole numbers beyond 2^53 as bigint; it is called only
   * for keys that are watched. Nothing, when it only says that the key is another now. By default each notification does, and the key is asked for.
   */
  readonly value?: (result: unknown, key: Key) => Value | undefined
}

/**
 * Has the values of a feed pushed by the subscriptions of a JSON-RPC node, such as `accountSubscribe` of Solana or `eth_subscribe` of
 * Ethereum. A node neither says what a value is when a subscription begins nor repeats what was missed, so each key is asked for then, and
 * after each break; where a subscription is refused, its keys are polled.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function jsonRpcPush<Key, Value>(options: JsonRpcPushOptions<Key, Value>): Push<Key, Value> {
  const where = 'jsonRpcPush()'
  const { unsubscribe } = readOptions(where, JSON_RPC_PUSH_OPTIONS, options)
  const { subscribe, keyOf, value, unsubscribe: _unsubscribe, ...plain } = options
  for (const [name, given] of Object.entries({ subscribe, keyOf, value })) {
    if (typeof given !== 'function' && (given !== undefined || name === 'subscribe'))
      throw new ConfigError(where, name, 'a function', given)
  }

  /** By the key that it names, or by its subscription. */
  function news(token: PushToken, result: unknown): PushNews<Key, Value> | undefined {
    const said = value === undefined ? {} : { value: (key: Key) => value(result, key) }
    if (keyOf === undefined) return { token, ...said }
    const key = keyOf(result)
    return key === undefined ? undefined : { key, ...said }
  }

  return push<Key, Value>({
    ...plain,
    acknowledges: true,
    shared: (key) => stringifyJson(subscribe(key)) ?? '',
    subscribe: (key, id) => {
      const [method, params] = subscribe(key)
      return { jsonrpc: '2.0', id, method, params }
    },
    // The call that subscribed is answered, so its id is free for the one that ends it.
    unsubscribe: (_key, id, token) => ({ jsonrpc: '2.0', id, method: unsubscribe, params: [token] }),
    read: (message) => {
      if (!isRecord(message)) throw new TypeError(`expected a message of JSON-RPC, got ${show(message)}`)
      const { id, result, params } = message
      if (isRecord(params) && isToken(params.subscription)) return news(params.subscription, params.result)
      const failure = failureIn(message)
      const refused = failure === undefined ? undefined : `${failure.code}: ${failure.message}`
      // What is of no call of ours is of the connection.
      if (typeof id !== 'number') throw new TypeError(`expected a notification, got ${refused ?? show(message)}`)
      if (refused !== undefined) return { refused: id, reason: refused }
      // Else it confirms the end of one.
      return isToken(result) ? { accepted: id, token: result } : undefined
    },
  })
}

function isToken(given: unknown): given is PushToken {
  return typeof given === 'number' || typeof given === 'string' || typeof given === 'bigint'
}
