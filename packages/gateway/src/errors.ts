import { randomBytes } from 'node:crypto'
import type { Problem } from '@weir/protocol'

interface ErrorRow {
  /** The HTTP status that clients see. */
  readonly status: number
  /** Whether the same request may succeed later. */
  readonly retry: boolean
  /** The error in general; the detail of each occurrence names what was expected and what came. */
  readonly title: string
}

/** Everything that can go wrong from outside. `docs/ERRORS.md` is made from this table. */
export const ERRORS = {
  bad_request: { status: 400, retry: false, title: 'The request could not be read' },
  bad_document: { status: 400, retry: false, title: 'The GraphQL document can not be run' },
  bad_key: { status: 400, retry: false, title: 'The address names a key that its schema refuses' },
  bad_version: { status: 400, retry: false, title: 'The version to resume from is not a version' },
  bad_event: { status: 400, retry: false, title: 'The log takes no such event' },
  bad_message: { status: 400, retry: false, title: 'The message could not be read' },
  too_many_topics: { status: 400, retry: false, title: 'The connection has as many topics as it may' },
  query_too_complex: { status: 400, retry: false, title: 'The GraphQL document asks for too much at once' },
  unauthenticated: { status: 401, retry: false, title: 'The value is not public, and the caller is not known' },
  credential_expired: { status: 401, retry: false, title: 'The credential has expired: renew it and connect again' },
  bad_origin: { status: 403, retry: false, title: 'The page is of a site that may not open a WebSocket here' },
  not_published: { status: 403, retry: false, title: 'Clients may not publish here' },
  not_found: { status: 404, retry: false, title: 'Nothing is served at this address' },
  absent: { status: 404, retry: true, title: 'The upstream has no value for this key' },
  never: { status: 404, retry: false, title: 'There is no value for this key, and there will be none' },
  method_not_allowed: { status: 405, retry: false, title: 'The address does not take this method' },
  not_acceptable: { status: 406, retry: false, title: 'The answer has no form that the client takes' },
  request_timeout: { status: 408, retry: true, title: 'The request took too long to arrive' },
  body_too_large: { status: 413, retry: false, title: 'The body of the request is too large' },
  uri_too_long: { status: 414, retry: false, title: 'The address is too long' },
  unsupported_type: { status: 415, retry: false, title: 'The body of the request is of a type that is not read here' },
  expectation_failed: { status: 417, retry: false, title: 'The request expects something that is not done here' },
  upgrade_required: { status: 426, retry: false, title: 'The address speaks WebSocket' },
  headers_too_large: { status: 431, retry: false, title: 'The headers of the request are too large' },
  internal: { status: 500, retry: true, title: 'The gateway failed to answer' },
  upstream_failed: { status: 502, retry: true, title: 'The upstream could not answer' },
  upstream_invalid: { status: 502, retry: true, title: 'The upstream answered something unexpected' },
  upstream_refused: { status: 502, retry: false, title: 'The upstream refused our key or our request' },
  backend_unavailable: { status: 503, retry: true, title: 'What the servers share can not be reached' },
  draining: { status: 503, retry: true, title: 'This server is going away' },
  too_many_connections: { status: 503, retry: true, title: 'This server has as many live connections as it takes' },
  maintenance: { status: 503, retry: true, title: 'The service is being maintained' },
  over_budget: { status: 503, retry: true, title: "The upstream's budget leaves no room before the deadline" },
  suspended: { status: 503, retry: true, title: 'The gateway is strained, and this is not essential' },
  upstream_limited: { status: 503, retry: true, title: 'The upstream asks us to wait' },
  upstream_quota_exhausted: { status: 503, retry: false, title: 'Every key of the upstream is used up' },
  not_cached: { status: 504, retry: true, title: 'Only what is kept was asked for, and nothing is' },
  upstream_timeout: { status: 504, retry: true, title: 'The upstream took too long' },
} as const satisfies Record<string, ErrorRow>

/** A code from the table of errors. */
export type ErrorCode = keyof typeof ERRORS

interface ErrorDetails {
  readonly cause?: unknown
  /** Milliseconds after which it may go better. */
  readonly retryAfter?: number
  /** The status that the upstream answered, where it did. */
  readonly upstreamStatus?: number
  /** No connection to the upstream was made. */
  readonly unreachable?: boolean
  /** The upstream answered something older than what is known. */
  readonly behind?: boolean
  /** Headers that an answer with this error must have, such as `allow`. */
  readonly headers?: Readonly<Record<string, string>>
  /** That of the error it is made of. */
  readonly requestId?: string | undefined
}

/** Names of this process and of one request after the other: short enough to be read out. */
const PROCESS = randomBytes(4).toString('hex')
let requests = 0

function newRequestId(): string {
  requests += 1
  return `${PROCESS}-${requests.toString(36)}`
}

/** An error with a code from the table. `message` is the detail: what was expected and what came. */
export class WeirError extends Error {
  override readonly name = 'WeirError'
  readonly code: ErrorCode
  readonly retryAfter: number | undefined
  readonly upstreamStatus: number | undefined
  readonly unreachable: boolean
  readonly behind: boolean
  readonly headers: Readonly<Record<string, string>>
  /** By this the log has it, where there is more to it than clients read: set where there is a cause. */
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

/** A declaration that can't be run: which option, what was expected, what came. Thrown where it is declared. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** Such as `http "jupiter"`, or `feed "/prices/:mint"`. */
  readonly where: string
  /** The option, such as `limits[0].per`. */
  readonly key: string
  readonly expected: string
  /** What came, as it came. */
  readonly given: unknown

  constructor(where: string, key: string, expected: string, got: unknown) {
    super(`${where}: ${key}: expected ${expected}, got ${show(got)}`)
    this.where = where
    this.key = key
    this.expected = expected
    this.given = got
  }
}

/** What was thrown, as the errors that were made of it: the log and the client name it by one id. */
const made = new WeakMap<object, WeirError>()

/** Anything thrown, as an error of the table: what has no code is `internal`, and keeps its words to itself. */
export function asWeirError(thrown: unknown): WeirError {
  if (thrown instanceof WeirError) return thrown
  const known = typeof thrown === 'object' && thrown !== null ? made.get(thrown) : undefined
  if (known !== undefined) return known
  const error = new WeirError('internal', 'Something failed inside the gateway; its log says what.', { cause: thrown })
  if (typeof thrown === 'object' && thrown !== null) made.set(thrown, error)
  return error
}

/** The same error without its stack and its cause, to be kept: those keep the call that failed, and all that it had in hand. */
export function withoutStack<Kind extends WeirError>(error: Kind): Kind {
  const { stack: _stack, cause: _cause, ...kept } = Object.getOwnPropertyDescriptors(error)
  return Object.create(Object.getPrototypeOf(error), kept)
}

/** The error as clients get it (RFC 9457). `retryAfter` is in whole seconds, rounded up so that it is never too early. */
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

/** A value from outside, short and on one line, for the `got` of a message. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  const text = typeof value === 'string' ? JSON.stringify(value) : safeJson(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** What a host looks like, with its port or without: a name with a dot in it, `localhost` or an address. A key is none. */
const HOST = /^(localhost|[\w.-]+\.[a-z]{2,24}|\d+\.\d+\.\d+\.\d+|\[[\da-f:.]+\])(:\d+)?$/i

/**
 * An address as errors may show it: where it leads, without user, password, path and query, of which any may be a secret. Of what
 * is no address nothing is shown that could be one.
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
