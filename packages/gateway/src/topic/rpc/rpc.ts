import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ConfigError } from '../../errors.ts'
import { parseToWrite, stringifyJson } from '../../json.ts'
import { RPC_METHOD_OPTIONS, RPC_OPTIONS } from '../../options/topic.ts'
import { type Bytes, type Duration, isRecord, readOptions } from '../../options.ts'
import { JsonRpcError } from '../../upstream/json-rpc/answer.ts'
import type { JsonRpcCall, JsonRpcParams } from '../../upstream/json-rpc/json-rpc.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { absent, type Feed, feed } from '../feed/feed.ts'
import { Params } from './params.ts'

/** What `rpc()` takes. */
export interface RpcOptions {
  /** What it is called in metrics; each method is `NAME.METHOD` there. Its address by default. */
  readonly name?: string
  /** A JSON-RPC upstream, or `anyOf` several. */
  readonly to: Upstream<JsonRpcCall>
  /** The methods that may be called, and how long their results are good. All others are refused. */
  readonly methods: Readonly<Record<string, RpcMethodOptions>>
  /** The most calls of one array. 100 by default. */
  readonly maxCalls?: number
  /** The largest body of a request. `'100kb'` by default. */
  readonly maxBody?: Bytes
  /** The longest a client waits. `'10s'` by default. */
  readonly deadline?: Duration
}

/** How long results of a method are good. */
export interface RpcMethodOptions {
  /** How long a result is served without asking again. `'1s'` by default. */
  readonly fresh?: Duration
  /** How long beyond that it may still be served while it is refetched. Not at all by default. */
  readonly stale?: Duration
  /** How long beyond `fresh` it may be served while the node fails. `'30s'` by default. */
  readonly staleIfError?: Duration
  /** How long `null`, or that the node refuses such a call, is believed. `'1s'` by default. */
  readonly missing?: Duration
  /** What a call costs, for limits by `cost`. 1 by default. */
  readonly cost?: number
}

/** Methods of a JSON-RPC node that only read, for clients that speak its language. */
export interface RpcRoute {
  readonly kind: 'rpc'
  readonly path: string
  readonly name: string
  readonly plan: RpcPlan
  /** Each method as a feed of its own, at `PATH/METHOD?params=[…]`. */
  readonly feeds: readonly Feed[]
}

/** A route as it was declared, ready to run. */
export interface RpcPlan {
  readonly upstream: string
  /** The most calls of one array. */
  readonly maxCalls: number
  /** Bytes of the largest body. */
  readonly maxBody: number
  /** The path of each method's feed. */
  readonly methods: ReadonlyMap<string, string>
}

/** The longest params, in characters: 256 signatures, the most that a Solana node takes; an address holds them. */
const LONGEST_PARAMS = 24_576

/** Methods that change something, or that a shared answer is no answer to. */
const NO_READS = /(^|_)(send|request|submit)[A-Z]|[sS]ubscribe$/

/** Whatever a node says. */
const Result: StandardSchemaV1<unknown> = {
  '~standard': { version: 1, vendor: 'weir', validate: (value) => ({ value }) },
}

/**
 * Declares a JSON-RPC 2.0 route that reads: `POST path` takes one call or an array of them, and who asks the same shares one call to the node
 * and its result. Each method is a feed, so that `GET path/METHOD?params=[…]` has the same value in every form.
 *
 * @param path such as `/api/rpc`
 * @throws ConfigError naming the option, what was expected and what came
 */
export function rpc(path: string, options: RpcOptions): RpcRoute {
  const where = `rpc ${JSON.stringify(path)}`
  const read = readOptions(where, RPC_OPTIONS, options)
  if (typeof path !== 'string' || !/^(\/[\w.~-]+)+$/.test(path))
    throw new ConfigError(where, 'path', 'a path without parameters, such as "/api/rpc"', path)
  if (!isRecord(read.to) || read.to.kind !== 'upstream')
    throw new ConfigError(where, 'to', 'an upstream such as jsonRpc(…)', read.to)
  if (!isRecord(read.methods) || Object.keys(read.methods).length === 0)
    throw new ConfigError(
      where,
      'methods',
      "the methods that may be called, such as { getSlot: { fresh: '400ms' } }",
      read.methods,
    )
  const { maxCalls, maxBody, deadline, name = path } = read
  const feeds = Object.entries(read.methods).map(([method, given]) => {
    if (!/^\w+$/.test(method) || NO_READS.test(method))
      throw new ConfigError(where, 'methods', 'methods that change nothing, such as getSlot', method)
    return methodFeed(`${path}/${method}`, method, {
      ...readOptions(`${where}: methods.${method}`, RPC_METHOD_OPTIONS, given),
      name: `${name}.${method}`,
      to: options.to,
      deadline,
    })
  })
  const methods = new Map(Object.keys(read.methods).map((method) => [method, `${path}/${method}`]))
  return { kind: 'rpc', path, name, plan: { upstream: options.to.name, maxCalls, maxBody, methods }, feeds }
}

/** As a method was declared. Times in milliseconds. */
interface Method {
  readonly name: string
  readonly to: Upstream<JsonRpcCall>
  readonly fresh: number
  readonly stale: number
  readonly staleIfError: number
  readonly missing: number
  readonly cost: number
  readonly deadline: number
}

/**
 * A result is a value. Null and a refusal are the absence of one: nodes mean by them that there is nothing yet, and they are believed for
 * another time than a value is. The reason is then what the node said, word for word, so that every node and region can hand it on.
 */
function methodFeed(path: string, method: string, given: Method): Feed {
  const { name, to, fresh, stale, staleIfError, missing, cost, deadline } = given
  const none = (said: string) => absent(said, { for: `${missing}ms` })
  const declared = feed(path, {
    name,
    key: { params: Params },
    maxKeyLength: LONGEST_PARAMS,
    value: Result,
    from: to,
    load: {
      async one({ params }, call) {
        try {
          // Whatever its name says: what is declared here only reads.
          const options = { cost, repeatable: true }
          const result = await call(method, parseToWrite(params) as JsonRpcParams, options)
          return result === null ? none('"result":null') : result
        } catch (error) {
          // What a node can't answer now is no answer: an older result may be served in its place.
          if (!(error instanceof JsonRpcError) || error.code !== 'upstream_refused') throw error
          return none(`"error":${stringifyJson(nodeError(error))}`)
        }
      },
    },
    ...{ fresh: `${fresh}ms`, stale: `${stale}ms`, staleIfError: `${staleIfError}ms`, deadline: `${deadline}ms` },
  })
  return declared as Feed
}

/** The words of a node, where an error is one of those. */
export function nodeError(error: unknown): { code: number; message: string; data: unknown } | undefined {
  if (!(error instanceof JsonRpcError)) return undefined
  const { rpcCode: code, rpcMessage: message, data } = error
  return { code, message, data }
}
