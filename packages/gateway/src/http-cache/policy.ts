import { readDate } from './date.ts'
import { type Directives, readAge, readDirectives, readTargeted, secondsOf } from './directives.ts'
import { type Fields, members } from './fields.ts'

/** A request and its answer, as far as caching depends on them. */
export interface Exchanged {
  readonly method: string
  /** The client's request fields that the upstream saw. */
  readonly asked: Fields
  readonly status: number
  readonly fields: Fields
  /** Whether the answer sets cookies. */
  readonly cookies: boolean
  /** Wall time at which the answer began, and how long it took, in milliseconds. */
  readonly receivedAt: number
  readonly took: number
}

/** What a shared cache may do with an answer (RFC 9111). Times in milliseconds. */
export interface Policy {
  /** It may be stored, and used for other clients. */
  readonly storable: boolean
  /** The freshness lifetime, counted from the origin's answer. */
  readonly lifetime: number
  /**
   * The source of the lifetime: the upstream's headers, the proxy's `fresh` option, a heuristic from the last change,
   * or none.
   */
  readonly by: 'upstream' | 'option' | 'heuristic' | 'none'
  /** Its age on arrival (4.2.3). */
  readonly age: number
  /**
   * How much of its lifetime was over on arrival: its age. A lifetime from the option does not depend on the upstream's
   * clock.
   */
  readonly spent: number
  /** It must be confirmed by the upstream before each use. */
  readonly confirm: boolean
  /** It must never be used stale. */
  readonly strict: boolean
  /** How long it may be used stale during a refetch, and while the upstream fails (RFC 5861); undefined: not stated. */
  readonly whileAsked: number | undefined
  readonly ifError: number | undefined
}

/** Statuses that are cacheable by default (RFC 9110, 15.1). Partial answers, 206, are not supported. */
const BY_DEFAULT = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])

/** Statuses whose caching rules are implemented, for `must-understand`. */
const UNDERSTOOD = new Set([...BY_DEFAULT, 302, 303, 307, 400, 403, 406, 409, 415, 422, 500, 502, 503, 504])

/** Statuses that are never stored: a part is not the whole, and a 304 is no answer by itself. */
const NEVER = new Set([206, 304])

/** The heuristic lifetime as a share of the time since the last change, and its maximum. */
const HEURISTIC_SHARE = 0.1
const MAX_HEURISTIC = 86_400_000

/**
 * Decides what a shared cache may do with an answer.
 *
 * The gateway's own key is no `Authorization` in the sense of 3.5: it is added below the cache and is not the client's.
 * Answers that set cookies are never stored. The RFC leaves that to the upstream's directives, but a session given to
 * every client is beyond repair.
 *
 * @param fresh freshness in milliseconds of an answer without freshness information
 */
export function policyOf(exchanged: Exchanged, fresh: number | undefined): Policy {
  const { method, asked, status, fields, cookies } = exchanged
  const targeted = readTargeted(fields['cdn-cache-control'])
  const directives = targeted ?? readDirectives(fields['cache-control'])
  const has = (name: string) => directives.has(name)
  const { lifetime, by } = lifetimeOf(exchanged, directives, targeted !== undefined, fresh)

  const age = ageOf(exchanged)
  const understood = !has('must-understand') || UNDERSTOOD.has(status)
  const allowed = has('must-understand') ? understood : !has('no-store')
  const storable =
    (method === 'GET' || method === 'HEAD') &&
    status >= 200 &&
    !NEVER.has(status) &&
    allowed &&
    !has('private') &&
    !readDirectives(asked['cache-control']).has('no-store') &&
    (asked.authorization === undefined || has('public') || has('s-maxage') || has('must-revalidate')) &&
    // Without freshness information, an answer to a request with a cookie may be private.
    (by === 'upstream' || has('public') || (BY_DEFAULT.has(status) && asked.cookie === undefined)) &&
    !cookies &&
    !members(fields.vary).includes('*')

  return {
    storable,
    lifetime,
    by,
    age,
    spent: by === 'option' ? correctedAge(exchanged) : age,
    confirm: has('no-cache'),
    strict: has('must-revalidate') || has('proxy-revalidate') || has('s-maxage'),
    whileAsked: milliseconds(directives, 'stale-while-revalidate'),
    ifError: milliseconds(directives, 'stale-if-error'),
  }
}

/** The freshness lifetime (4.2.1). A targeted field replaces `Cache-Control` and `Expires` (RFC 9213, 2.1). */
function lifetimeOf(
  { status, fields, receivedAt }: Exchanged,
  directives: Directives,
  targeted: boolean,
  fresh: number | undefined,
): Pick<Policy, 'lifetime' | 'by'> {
  const maxAge = milliseconds(directives, 's-maxage') ?? milliseconds(directives, 'max-age')
  if (maxAge !== undefined) return { lifetime: maxAge, by: 'upstream' }
  const date = readDate(fields.date, receivedAt) ?? receivedAt
  if (!targeted && fields.expires !== undefined) {
    const expires = readDate(fields.expires, receivedAt) ?? Number.NEGATIVE_INFINITY
    return { lifetime: Math.max(0, expires - date), by: 'upstream' }
  }
  // A heuristic or the option applies only where the RFC allows it (4.2.2).
  if (!BY_DEFAULT.has(status) && !directives.has('public')) return { lifetime: 0, by: 'none' }
  if (fresh !== undefined && status < 400) return { lifetime: fresh, by: 'option' }
  const changed = readDate(fields['last-modified'], receivedAt)
  if (changed === undefined || changed >= date) return { lifetime: 0, by: 'none' }
  return { lifetime: Math.min(MAX_HEURISTIC, (date - changed) * HEURISTIC_SHARE), by: 'heuristic' }
}

/** The corrected initial age (4.2.3): from `Age` and the time it took, or from `Date` if that gives more. */
function ageOf({ fields, receivedAt, took }: Exchanged): number {
  const date = readDate(fields.date, receivedAt) ?? receivedAt
  // `Date` is truncated to seconds, so less than one second is no age.
  const apparent = receivedAt - date < 1000 ? 0 : receivedAt - date
  return Math.max(apparent, correctedAge({ fields, took }))
}

/** From `Age` alone, which needs no synchronized clocks. */
function correctedAge({ fields, took }: Pick<Exchanged, 'fields' | 'took'>): number {
  return readAge(fields.age) * 1000 + took
}

function milliseconds(directives: Directives, name: string): number | undefined {
  const seconds = secondsOf(directives, name)
  return seconds === undefined ? undefined : seconds * 1000
}
