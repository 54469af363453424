import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Identity } from '../../call.ts'
import { stringifyJson } from '../../json.ts'
import { JSON_RPC_OPTIONS } from '../../options/upstream.ts'
import { isRecord, readOptions } from '../../options.ts'
import { reading, validated } from '../answer.ts'
import { charge, type HttpGet, type HttpOptions, httpUpstream } from '../http.ts'
import type { Limit } from '../limits.ts'
import { secretsOfUrl } from '../secrets.ts'
import type { CallContext, Upstream } from '../upstream.ts'
import { JsonRpcError, resultOf, rpcMeaning, slotOf } from './answer.ts'
import { jsonRpcBatches } from './batch.ts'
import { readNodeRateLimits } from './rate-limits.ts'

/**
 * What `jsonRpc()` takes: as `http()`, with 30 s for a call, and 100 calls a second unless `limits` says another. A query in `url`, such as
 * `?api-key=…`, is sent with each call.
 */
export interface JsonRpcOptions extends Omit<HttpOptions, 'conditional' | 'statusOf'> {
  /**
   * Calls that start in one instant are sent as one array of at most so many. Where the provider refuses that, each goes alone from then
   * on. 1 by default: none. Not more than `concurrency` start at once.
   */
  readonly batch?: number
}

/**
 * What a loader calls a JSON-RPC upstream with. Every call passes the budget, in the lane of its method.
 *
 * Gives the result, whole numbers beyond 2^53 as bigint. With `answer`, it is validated and typed.
 *
 * @throws JsonRpcError when the upstream refuses the call itself, such as its parameters
 * @throws WeirError as of `http()`
 */
export interface JsonRpcCall {
  <Schema extends StandardSchemaV1>(
    method: string,
    params: JsonRpcParams | undefined,
    options: JsonRpcCallOptions & { readonly answer: Schema },
  ): Promise<StandardSchemaV1.InferOutput<Schema>>
  (method: string, params?: JsonRpcParams, options?: JsonRpcCallOptions): Promise<unknown>
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal
  /** Whose value is loaded, for a feed with a scope; empty for public ones. */
  readonly caller: Identity
}

/** By position or by name (JSON-RPC 2.0, 4.2). */
export type JsonRpcParams = readonly unknown[] | Readonly<Record<string, unknown>>

export interface JsonRpcCallOptions extends Pick<HttpGet, 'answer' | 'cost' | 'costOf' | 'lane'> {
  /** Whether it may be sent twice. Methods that get something may, such as `getSlot` or `eth_getBalance`; others if this says so. */
  readonly repeatable?: boolean
}

/** What nodes usually allow, where nothing else is said. */
const USUAL: readonly Limit[] = [{ calls: 100, per: '1s' }]

/** Methods that change nothing, by their names. */
const READS = /(^|_)(get|is|has)[A-Z]/

/**
 * Declares a JSON-RPC 2.0 upstream over HTTP, such as a Solana node.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function jsonRpc(options: JsonRpcOptions): Upstream<JsonRpcCall> {
  const name = isRecord(options) && typeof options.name === 'string' ? options.name : '?'
  const where = `jsonRpc "${name}"`
  const { url, timeout, batch: most } = readOptions(where, JSON_RPC_OPTIONS, options)
  const { batch: _array, ...plain } = options
  const address = new URL(url)
  const { origin, pathname, search } = address
  const given = {
    limits: USUAL,
    ...plain,
    url: origin + pathname,
    timeout: `${timeout}ms`,
    conditional: false,
  } as const
  const asked = httpUpstream('jsonRpc', given, readNodeRateLimits)
  const ofAddress = secretsOfUrl(address)
  // The pool joins an address to a path; here there is none, and a slash at its end is part of it.
  const rest = (pathname.endsWith('/') ? '/' : '') + search

  const { settings, policy, lag, rateLimits } = asked
  let calls = 0
  const nextId = () => {
    calls += 1
    return calls
  }
  const declared: Upstream<JsonRpcCall> = {
    kind: 'upstream',
    name,
    get providers() {
      return [declared]
    },
    policy,
    settings: {
      ...settings,
      keyed: settings.keyed || ofAddress.length > 0,
      secrets: [...settings.secrets, ...ofAddress],
      dress: JSON.stringify([settings.dress, search, most]),
    },
    ...(lag === undefined ? {} : { lag }),
    ...(rateLimits === undefined ? {} : { rateLimits }),
    below: (clock) => (next) => {
      const read = jsonRpcBatches({ upstream: name, most, clock })(next)
      return async (request) => {
        const answer = await read(request)
        const height = slotOf(request, answer)
        return { ...answer, ...rpcMeaning(answer), ...(height === undefined ? {} : { height }) }
      }
    },
    client: (context) => jsonRpcCall(name, context, nextId),
    authorize: (request) => asked.authorize({ ...request, path: rest }),
  }
  return declared
}

function jsonRpcCall(name: string, context: CallContext, nextId: () => number): JsonRpcCall {
  async function call(method: string, params?: JsonRpcParams, options: JsonRpcCallOptions = {}): Promise<unknown> {
    const { answer: schema, repeatable = READS.test(method) } = options
    const id = nextId()
    const what = `${name}: ${method}`
    const read = reading(async (answer) => validated(what, resultOf(what, answer, id), schema))
    const answer = await context.send({
      lane: method,
      operation: method,
      key: stringifyJson(params) ?? '',
      // What a node says goes to the caller as it was said; what it says of our key and of our limits does not.
      passes: (status) => status >= 500,
      async check(answer) {
        // An error of JSON-RPC can be read.
        await read(answer).catch((error) => {
          if (!(error instanceof JsonRpcError)) throw error
        })
      },
      ...charge({ ...options, repeatable }),
      method: 'POST',
      path: '',
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      body: stringifyJson({ jsonrpc: '2.0', id, method, params }),
    })
    return read(answer)
  }
  // A function has a `caller` of its own that can't be set, only defined over.
  return Object.defineProperties(call, {
    signal: { value: context.signal },
    caller: { value: context.caller },
  }) as typeof call & JsonRpcCall
}
