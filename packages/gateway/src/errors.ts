import { randomBytes } from 'node:crypto'
import type { Problem } from '@weir/protocol'

interface ErrorRow {
  /** The HTTP status that clients see. */
  readonly status: number
  /** Whether the same request may succeed later. */
  readonly retry: boolean
  /** The general description. The detail of each occurrence names the expected and the actual input. */
  readonly title: string
}

/** Every error with an outside cause. `docs/ERRORS.md` is generated from this table. */
export const ERRORS = {
  bad_request: { status: 400, retry: false, title: 'The request could not be read' },
  bad_document: { status: 400, retry: false, title: 'The GraphQL document cannot be executed' },
  bad_key: { status: 400, retry: false, title: 'The address contains a key that its schema rejects' },
  bad_version: { status: 400, retry: false, title: 'The version to resume from is malformed' },
  bad_event: { status: 400, retry: false, title: 'The log does not accept this event' },
  bad_message: { status: 400, retry: false, title: 'The message could not be read' },
  too_many_topics: { status: 400, retry: false, title: 'The connection has reached its limit of topics' },
  query_too_complex: { status: 400, retry: false, title: 'The GraphQL document is too complex' },
  unauthenticated: { status: 401, retry: false, title: 'The value is private and requires an authenticated caller' },
  credential_expired: { status: 401, retry: false, title: 'The credential has expired: renew it and connect again' },
  bad_origin: { status: 403, retry: false, title: 'Pages of this origin may not open a WebSocket here' },
  not_published: { status: 403, retry: false, title: 'The caller may not publish to this log' },
  not_found: { status: 404, retry: false, title: 'Nothing is served at this address' },
  absent: { status: 404, retry: true, title: 'The upstream has no value for this key' },
  never: { status: 404, retry: false, title: 'No value will ever exist for this key' },
  method_not_allowed: { status: 405, retry: false, title: 'The address does not support this method' },
  not_acceptable: { status: 406, retry: false, title: 'The answer has no form that the client accepts' },
  request_timeout: { status: 408, retry: true, title: 'The request took too long to arrive' },
  body_too_large: { status: 413, retry: false, title: 'The body of the request is too large' },
  uri_too_long: { status: 414, retry: false, title: 'The address is too long' },
  unsupported_type: { status: 415, retry: false, title: 'The content type of the request is not supported' },
  expectation_failed: { status: 417, retry: false, title: 'The request has an expectation that is not supported' },
  upgrade_required: { status: 426, retry: false, title: 'The address requires a WebSocket' },
  headers_too_large: { status: 431, retry: false, title: 'The headers of the request are too large' },
  internal: { status: 500, retry: true, title: 'The gateway failed to answer' },
  upstream_failed: { status: 502, retry: true, title: 'The upstream failed to answer' },
  upstream_invalid: { status: 502, retry: true, title: 'The upstream sent an invalid answer' },
  upstream_refused: { status: 502, retry: false, title: 'The upstream refused the API key or the request' },
  backend_unavailable: { status: 503, retry: true, title: 'The shared storage is not reachable' },
  draining: { status: 503, retry: true, title: 'The server is shutting down' },
  too_many_connections: { status: 503, retry: true, title: 'The server has reached its limit of live connections' },
  maintenance: { status: 503, retry: true, title: 'The service is under maintenance' },
  over_budget: { status: 503, retry: true, title: "The upstream's budget has no capacity before the deadline" },
  suspended: { status: 503, retry: true, title: 'Suspended while the gateway is strained' },
  upstream_limited: { status: 503, retry: true, title: 'The upstream limits the rate of calls' },
  upstream_quota_exhausted: {
    status: 503,
    retry: false,
    title: 'Every API key of the upstream has exhausted its quota',
  },
  not_cached: { status: 504, retry: true, title: 'The request allows only a cached answer, and none is cached' },
  upstream_timeout: { status: 504, retry: true, title: 'The upstream did not answer in time' },
} as const satisfies Record<string, ErrorRow>

/** A code from the table of errors. */
export type ErrorCode = keyof typeof ERRORS

interface ErrorDetails {
  readonly cause?: unknown
  /** Milliseconds until a retry may succeed. */
  readonly retryAfter?: number
  /** The upstream's status, if it answered. */
  readonly upstreamStatus?: number
  /** No connection to the upstream was wrapped. */
  readonly unreachable?: boolean
  /** The upstream's answer is older than the known value. */
  readonly behind?: boolean
  /** Headers that an answer with this error requires, such as `allow`. */
  readonly headers?: Readonly<Record<string, string>>
  /** The request id of the error that this one wraps. */
  readonly requestId?: string | undefined
}

/** Request ids: a random prefix per process and a counter. They are short enough to read aloud. */
const PROCESS = randomBytes(4).toString('hex')
let requests = 0

function newRequestId(): string {
  requests += 1
  return `${PROCESS}-${requests.toString(36)}`
}

/** An error with a code from the table. `message` is the detail: the expected and the actual input. */
export class WeirError extends Error {
  override readonly name = 'WeirError'
  readonly code: ErrorCode
  readonly retryAfter: number | undefined
  readonly upstreamStatus: number | undefined
  readonly unreachable: boolean
  readonly behind: boolean
  readonly headers: Readonly<Record<string, string>>
  /** The id under which the log has the cause. Set if there is a cause that clients must not read. */
  readonly requestId: string | undefined

  constructor(code: ErrorCode, detail: string, details: ErrorDetails = {}) {
    super(detail, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryAfter = details.retryAfter
    this.upstreamStatus = details.upstreamStatus
    this.unreachable = details.unreachable ?? false
    this.behind = details.behind ?? false
    this.headers = details.headers ?? {}
    this.requestId = details.requestId ?? (details.cause === undefined ? undefined : newRequestId())
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  get retry(): boolean {
    return ERRORS[this.code].retry
  }
}

/** An invalid declaration. Names the option, the expected and the given value. Thrown where the declaration is wrapped. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** Such as `http "jupiter"`, or `feed "/prices/:mint"`. */
  readonly where: string
  /** The option, such as `limits[0].per`. */
  readonly key: string
  readonly expected: string
  /** The given value. */
  readonly given: unknown

  constructor(where: string, key: string, expected: string, got: unknown) {
    super(`${where}: ${key}: expected ${expected}, got ${show(got)}`)
    this.where = where
    this.key = key
    this.expected = expected
    this.given = got
  }
}

/** Errors already created for a thrown object, so that the log and the client see the same id. */
const wrapped = new WeakMap<object, WeirError>()

/**
 * Converts any thrown value to an error of the table. Unknown errors become `internal`, and their text stays in the
 * log.
 */
export function asWeirError(thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  const known = typeof thrown === 'object' && thrown !== null ? wrapped.get(thrown) : undefined
  if (known !== undefined) return known
  const error = new WeirError('internal', 'Internal failure of the gateway. Its log has the cause under this id.', {
    cause: thrown,
  })
  if (typeof thrown === 'object' && thrown !== null) wrapped.set(thrown, error)
  return error
}

/**
 * A copy of the error without stack and cause, for storage. Those would keep the failed call and all its data in
 * memory.
 */
export function withoutStack<Kind extends WeirError>(error: Kind): Kind {
  const { stack: _stack, cause: _cause, ...kept } = Object.getOwnPropertyDescriptors(error)
  return Object.create(Object.getPrototypeOf(error), kept)
}

/**
 * The error as clients receive it (RFC 9457). `retryAfter` is in whole seconds, rounded up so that a retry is never too
 * early.
 */
export function problemOf(error: WeirError): Problem {
  const row = ERRORS[error.code]
  return {
    type: `https://weir.dev/errors#${error.code}`,
    title: row.title,
    status: row.status,
    code: error.code,
    detail: error.message,
    retry: row.retry,
    ...(error.retryAfter === undefined ? {} : { retryAfter: Math.max(1, Math.ceil(error.retryAfter / 1000)) }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
  }
}

/** Formats an external value on one short line, for the `got` of a message. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  const text = typeof value === 'string' ? JSON.stringify(value) : safeJson(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** A host with an optional port: a name that contains a dot, `localhost` or an address. An API key does not match. */
const HOST = /^(localhost|[\w.-]+\.[a-z]{2,24}|\d+\.\d+\.\d+\.\d+|\[[\da-f:.]+\])(:\d+)?$/i

/**
 * Formats an address for an error: without user, password, path and query, since each may be a secret. Text that is not
 * an address is hidden.
 */
export function withoutSecrets(url: unknown): string {
  const [, scheme = '', place = ''] = /^([a-z][a-z\d+.-]*:\/\/)?([^/?#]*)/i.exec(String(url)) ?? []
  const host = place.replace(/.*@/, '')
  return scheme + (scheme !== '' || HOST.test(host) ? host : '…')
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}
