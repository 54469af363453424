import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Identity, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { ConfigError, WeirError, withoutSecrets } from '../errors.ts'
import { stringifyJson } from '../json.ts'
import { HTTP_OPTIONS } from '../options/upstream.ts'
import { type Bytes, type Duration, isRecord, readOptions } from '../options.ts'
import { type RateLimitReader, type RateLimitSignal, rateLimitReader } from '../rate-limit-signal.ts'
import { jsonOf, reading, validated } from './answer.ts'
import { type Limit, limitsOf } from './limits.ts'
import { readApiRateLimits } from './rate-limits.ts'
import { areCredentials, secretsOfCredentials, secretsOfHeaders, secretsOfUrl } from './secrets.ts'
import { trueStatus } from './status.ts'
import type { CallContext, Outgoing, Upstream } from './upstream.ts'

/** What `http()` takes. */
export interface HttpOptions {
  /** The upstream in metrics, errors and budgets. Apps that use one name share one budget. */
  readonly name: string
  /** Where it is, from the environment; undefined is refused with a clear error at start. */
  readonly url: string | undefined
  /** API keys: a list, or one text with commas between them. */
  readonly keys?: string | readonly string[] | undefined
  /** Where a key goes. By default `authorization: Bearer KEY`. */
  readonly auth?: { readonly header: string; readonly prefix?: string } | { readonly query: string }
  /** What the upstream allows, in sliding windows. */
  readonly limits?: readonly Limit[]
  /** Calls of each limit left to others who use the same account. 0 by default. */
  readonly reserve?: number
  /** `unknown` (default): the budget stays shut for one window at start. `none`: nobody called before. */
  readonly pastUsage?: 'unknown' | 'none'
  /** Spreads starts evenly over each window instead of sending a whole limit at once. False by default. */
  readonly pace?: boolean
  /** How often a call that failed may be tried again, inside its deadline and a tenth of the traffic. 2 by default. */
  readonly retries?: number
  /** Connections, and calls under way at once. 10 by default. */
  readonly concurrency?: number
  /** The longest a call may take. `'10s'` by default. */
  readonly timeout?: Duration
  /** The longest a connection may take to be made; by default as `timeout`. */
  readonly connectTimeout?: Duration
  /** How old a connection gets before a new one takes its place, so that an upstream that moves is followed. `'5m'` by default. */
  readonly connectionAge?: Duration
  /** The longest its headers may take; by default as `timeout`. */
  readonly headersTimeout?: Duration
  /** The longest silence inside an answer; by default as `timeout`. */
  readonly bodyTimeout?: Duration
  /** Percent of the limits that watched values may take; when they want more, they are asked for less often. 80 by default. */
  readonly liveShare?: number
  /** Asks with `If-None-Match` for what it answered with an `ETag` before. True by default. */
  readonly conditional?: boolean
  /** The status that an answer of 200 should have had, where the upstream says in its body that it refuses. */
  readonly statusOf?: (answer: UpstreamAnswer) => number
  /**
   * What an answer says of the upstream's limits in a way of its own: that its key is used up, what is left. Status and headers are read in
   * any case; what this gives goes over them.
   */
  readonly rateLimitSignal?: (answer: UpstreamAnswer) => RateLimitSignal
  /** The longest that the network may hold a call up: one that is given up sooner is counted until then. `'2s'` by default. */
  readonly stall?: Duration
  /** Milliseconds that what it answered is old, for `anyOf` by score; by default its `Age` header. */
  readonly lag?: (answer: UpstreamAnswer) => number
  /** The largest answer that is taken. `'16mb'` by default. */
  readonly maxResponse?: Bytes
  /** Headers sent with every call. */
  readonly headers?: Readonly<Record<string, string>>
}

/** What a loader calls an HTTP upstream with. Every call passes the budget. */
export interface HttpCall {
  /**
   * GETs JSON. With `answer`, it is validated and typed.
   *
   * @throws WeirError `upstream_failed`, `upstream_invalid`, `upstream_refused`, `upstream_limited`, `upstream_timeout` or
   *   `over_budget`; `upstreamStatus` tells the upstream's status where it answered
   */
  get<Schema extends StandardSchemaV1>(
    path: string,
    options: HttpGet & { readonly answer: Schema },
  ): Promise<StandardSchemaV1.InferOutput<Schema>>
  get(path: string, options?: HttpGet): Promise<unknown>
  /** POSTs JSON and reads JSON; otherwise as `get`. */
  post<Schema extends StandardSchemaV1>(
    path: string,
    options: HttpPost & { readonly answer: Schema },
  ): Promise<StandardSchemaV1.InferOutput<Schema>>
  post(path: string, options?: HttpPost): Promise<unknown>
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal
  /** Whose value is loaded, for a feed with a scope; empty for public ones. */
  readonly caller: Identity
}

export interface HttpGet {
  /** Query parameters; those that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  /** The schema that the answer must pass. */
  readonly answer?: StandardSchemaV1
  /** What it costs, for limits by `cost`: an estimate, before it is sent. 1 by default. */
  readonly cost?: number
  /** What it cost in truth, such as the tokens that the answer names; the budget then counts that. */
  readonly costOf?: (answer: UpstreamAnswer) => number
  /** What the upstream counts apart, for limits by `lane`. */
  readonly lane?: string
  /** Whether it may be sent twice. GET may, POST may not, unless this says so. */
  readonly repeatable?: boolean
}

export interface HttpPost extends HttpGet {
  /** Sent as JSON. */
  readonly body?: unknown
}

/**
 * Declares an HTTP upstream.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function http(options: HttpOptions): Upstream<HttpCall> {
  return httpUpstream('http', options, readApiRateLimits)
}

/**
 * The same for other protocols over HTTP. Errors name its kind.
 *
 * @param rateLimits reads what answers of this kind say of limits
 */
export function httpUpstream(kind: string, options: HttpOptions, rateLimits: RateLimitReader): Upstream<HttpCall> {
  const name = isRecord(options) && typeof options.name === 'string' ? options.name : '?'
  const where = `${kind} "${name}"`
  const read = readOptions(where, HTTP_OPTIONS, options)
  if (read.pastUsage !== 'unknown' && read.pastUsage !== 'none')
    throw new ConfigError(where, 'pastUsage', '"unknown" or "none"', read.pastUsage)
  const { search, username, password } = new URL(read.url)
  if (search !== '') throw new ConfigError(where, 'url', 'an address without a query', withoutSecrets(read.url))
  if (username !== '' || password !== '')
    throw new ConfigError(where, 'url', 'an address without a user; send Basic by headers', withoutSecrets(read.url))
  if (read.statusOf !== undefined && typeof read.statusOf !== 'function')
    throw new ConfigError(where, 'statusOf', 'a function', read.statusOf)
  if (read.rateLimitSignal !== undefined && typeof read.rateLimitSignal !== 'function')
    throw new ConfigError(where, 'rateLimitSignal', 'a function', read.rateLimitSignal)
  const { statusOf, rateLimitSignal } = options
  const fixed = headersOf(where, read.headers)
  const place = authOf(where, read.auth)
  const keys = read.keys ?? []

  const declared: Upstream<HttpCall> = {
    kind: 'upstream',
    name: read.name,
    get providers() {
      return [declared]
    },
    policy: { retries: read.retries, hedge: undefined, choose: 'order' },
    settings: {
      url: read.url,
      dress: JSON.stringify([place, fixed]),
      keys,
      keyed: keys.length > 0 || areCredentials(fixed),
      secrets: [
        ...keys.flatMap((key) => secretsOfCredentials('header' in place ? place.prefix + key : key)),
        ...keys,
        ...secretsOfHeaders(fixed),
        ...secretsOfUrl(new URL(read.url)),
      ],
      limits: limitsOf(where, read.limits, read.reserve),
      pastUsage: read.pastUsage,
      pace: read.pace,
      liveShare: read.liveShare / 100,
      conditional: read.conditional,
      concurrency: read.concurrency,
      timeout: read.timeout,
      connectTimeout: read.connectTimeout ?? read.timeout,
      connectionAge: read.connectionAge,
      headersTimeout: read.headersTimeout ?? read.timeout,
      bodyTimeout: read.bodyTimeout ?? read.timeout,
      stall: read.stall,
      maxResponse: read.maxResponse,
    },
    rateLimits: rateLimitSignal === undefined ? rateLimits : rateLimitReader(rateLimitSignal, rateLimits),
    ...(options.lag === undefined ? {} : { lag: options.lag }),
    ...(statusOf === undefined ? {} : { below: () => trueStatus(statusOf) }),
    client: (context) => httpCall(read.name, context),
    authorize(given) {
      const request = { ...given, headers: { ...fixed, ...given.headers } }
      if (request.apiKey === undefined) return request
      if ('header' in place) {
        return { ...request, headers: { ...request.headers, [place.header]: place.prefix + request.apiKey } }
      }
      const joint = request.path.includes('?') ? '&' : '?'
      return { ...request, path: `${request.path}${joint}${place.query}=${encodeURIComponent(request.apiKey)}` }
    },
  }
  return declared
}

function httpCall(name: string, context: CallContext): HttpCall {
  async function exchange(request: Outgoing, schema: StandardSchemaV1 | undefined): Promise<unknown> {
    const what = `${name}: ${request.method} ${request.path.split('?', 1)[0]}`
    const read = reading((answer) => validated(what, jsonOf(what, answer), schema))
    const check = async (answer: UpstreamAnswer) => (isWhole(answer) ? read(answer) : undefined)
    const answer = await context.send({ ...request, check })
    if (answer.status >= 400) {
      throw new WeirError('upstream_failed', `${what}: answered ${answer.status}`, { upstreamStatus: answer.status })
    }
    // A redirect leads elsewhere, and a part is not the whole: what they carry is no value.
    if (!isWhole(answer)) {
      const detail = `${what}: expected a whole answer, got ${answer.status}`
      throw new WeirError('upstream_invalid', detail, { upstreamStatus: answer.status })
    }
    return read(answer)
  }

  function get(path: string, options: HttpGet = {}): Promise<unknown> {
    const headers = { accept: 'application/json', ...options.headers }
    return exchange(
      { ...charge(options), method: 'GET', path: withQuery(path, options.query), headers, body: undefined },
      options.answer,
    )
  }

  function post(path: string, options: HttpPost = {}): Promise<unknown> {
    const headers = { accept: 'application/json', 'content-type': 'application/json', ...options.headers }
    const body = stringifyJson(options.body ?? null)
    return exchange(
      { ...charge(options), method: 'POST', path: withQuery(path, options.query), headers, body },
      options.answer,
    )
  }

  return { get, post, signal: context.signal, caller: context.caller }
}

/** Whether its body is what was asked for. */
function isWhole({ status }: UpstreamAnswer): boolean {
  return status >= 200 && status < 300 && status !== 206
}

/** What the budget and the attempt need to know of a call. */
export function charge({ cost, costOf, lane, repeatable }: HttpGet): Partial<Outgoing> {
  return {
    ...(cost === undefined ? {} : { cost }),
    ...(costOf === undefined ? {} : { costOf }),
    ...(lane === undefined ? {} : { lane }),
    ...(repeatable === undefined ? {} : { repeatable }),
  }
}

function withQuery(path: string, query: HttpGet['query']): string {
  const pairs = Object.entries(query ?? {}).filter(
    (pair): pair is [string, string | number | boolean] => pair[1] !== undefined,
  )
  if (pairs.length === 0) return path
  return `${path}?${pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&')}`
}

function headersOf(where: string, given: unknown): UpstreamRequest['headers'] {
  if (given === undefined) return {}
  if (!isRecord(given)) throw new ConfigError(where, 'headers', 'an object of texts', given)
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      if (typeof value !== 'string') throw new ConfigError(where, `headers.${name}`, 'a text', value)
      return [name.toLowerCase(), value]
    }),
  )
}

type KeyPlace = { readonly header: string; readonly prefix: string } | { readonly query: string }

function authOf(where: string, given: unknown): KeyPlace {
  if (given === undefined) return { header: 'authorization', prefix: 'Bearer ' }
  const expected = "{ header: 'x-api-key' } or { query: 'apikey' }"
  if (!isRecord(given)) throw new ConfigError(where, 'auth', expected, given)
  const { header, prefix, query } = given
  if (typeof header === 'string' && query === undefined) {
    return { header: header.toLowerCase(), prefix: typeof prefix === 'string' ? prefix : '' }
  }
  if (typeof query === 'string' && header === undefined) return { query }
  throw new ConfigError(where, 'auth', expected, given)
}
