/**
 * Describes a network failure in words that clients may read, without addresses, library names or advice for
 * programmers. The cause stays with the error, for the operator.
 */
export function networkFault(thrown: unknown): string {
  const { code = '', name, cause } = thrown instanceof Error ? (thrown as NodeJS.ErrnoException) : {}
  const known = BY_CODE[code] ?? (name === 'HTTPParserError' ? 'answered something that is not HTTP' : undefined)
  if (known !== undefined) return known
  // The errors of several addresses, or one wrapped by undici.
  const inner = thrown instanceof AggregateError ? thrown.errors.at(-1) : cause
  return inner === undefined || inner === thrown ? 'the connection failed' : networkFault(inner)
}

const CLOSED = 'closed the connection'
const UNTRUSTED = 'has a certificate that is not trusted'

const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused the connection',
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  UND_ERR_SOCKET: CLOSED,
  ENOTFOUND: 'has an unknown host name',
  ENODATA: 'has a host name without an address',
  EAI_AGAIN: 'has a host name that cannot be resolved now',
  ENETUNREACH: 'is not reachable from this network',
  EHOSTUNREACH: 'is not reachable from this network',
  ETIMEDOUT: 'did not accept a connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'did not accept a connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'did not answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped in the middle of an answer',
  UND_ERR_HEADERS_OVERFLOW: 'answered with headers that are too large',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'sent a body that does not match its content length',
  UND_ERR_RESPONSE: 'answered something that is not HTTP',
  CERT_HAS_EXPIRED: 'has a certificate that has expired',
  CERT_NOT_YET_VALID: 'has a certificate that is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'has a certificate for another host name',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  ERR_SSL_WRONG_VERSION_NUMBER: 'does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'does not speak TLS',
  EPROTO: 'failed the TLS handshake',
}
