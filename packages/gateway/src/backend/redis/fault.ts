/**
 * What keeps this process from using Redis, in a sentence for the operator: what is wrong, and what to do about it. It names no
 * address and no password. Undefined for what is no fault of that kind.
 */
export function redisFault(error: unknown): string | undefined {
  const { code = '', message = '' } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  const known = BY_CODE[code] ?? BY_REPLY.find(([reply]) => message.startsWith(reply))?.[1]
  if (known !== undefined) return known
  if (/^no answer in|timeout|ETIMEDOUT/i.test(message)) return 'it does not answer in time'
  if (/wrong version number|packet length too long/i.test(message))
    return 'it does not speak TLS: name it by redis:// instead of rediss://'
  if (/socket closed|connection (is closed|closed)|client is (closed|offline)/i.test(message))
    return 'it closed the connection'
  return undefined
}

const UNTRUSTED = 'its certificate comes from no authority that is trusted: name that in redisCa'

const BY_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens at its address',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  ENOTFOUND: 'its host name is not known',
  EAI_AGAIN: 'its host name can not be looked up now',
  ENETUNREACH: 'no network leads to its address',
  EHOSTUNREACH: 'no network leads to its address',
  ETIMEDOUT: 'it does not answer in time',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: is the clock of this machine right?',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS: name it by redis:// instead of rediss://',
}

/** How Redis begins what it refuses (its error prefixes). */
const BY_REPLY: readonly (readonly [reply: string, sentence: string])[] = [
  ['WRONGPASS', 'it refuses the user or the password'],
  ['NOAUTH', 'it wants a password, and its address names none'],
  ['ERR AUTH', 'it refuses the user or the password'],
  ['ERR invalid password', 'it refuses the user or the password'],
  ['NOPERM', 'the user lacks rights; README.md has those that it needs'],
  ['OOM', 'it is full: raise its maxmemory'],
  ['MISCONF', 'it refuses to write, since it can not save to its disk'],
  ['READONLY', 'it is a replica, and no master took its place yet'],
  ['LOADING', 'it is reading its data from disk'],
  ['MASTERDOWN', 'it is a replica that lost its master'],
  ['CLUSTERDOWN', 'its cluster is incomplete'],
]
