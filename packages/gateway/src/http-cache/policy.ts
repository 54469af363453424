import { readDate } from './date.ts'
import { type Directives, readAge, readDirectives, readTargeted, secondsOf } from './directives.ts'
import { type Fields, members } from './fields.ts'

/** What was asked, and what came back, as far as keeping it depends on them. */
export interface Exchanged {
  readonly method: string
  /** The fields of the request that the upstream saw of the client's. */
  readonly asked: Fields
  readonly status: number
  readonly fields: Fields
  /** Whether it sets cookies. */
  readonly cookies: boolean
  /** Wall time at which the answer began, and how long it took, in milliseconds. */
  readonly receivedAt: number
  readonly took: number
}

/** What a shared cache may do with an answer (RFC 9111). Times in milliseconds. */
export interface Policy {
  /** May be kept, and used for others. */
  readonly storable: boolean
  /** How long it is fresh, counted from its origin. */
  readonly lifetime: number
  /** Who says so: the upstream, who declared the proxy, a guess by its last change, or nobody. */
  readonly by: 'upstream' | 'option' | 'guess' | 'nobody'
  /** Its age when it came (4.2.3). */
  readonly age: number
  /** How much of its lifetime was over then: its age. A lifetime that the owner declares does not go by the upstream's clock. */
  readonly spent: number
  /** Must be confirmed by the upstream before each use. */
  readonly confirm: boolean
  /** Must never be used once it is stale. */
  readonly strict: boolean
  /** How long it may be used stale while it is asked for anew, and while the upstream fails (RFC 5861); undefined: not said. */
  readonly whileAsked: number | undefined
  readonly ifError: number | undefined
}

/** Statuses that may be kept without a word on it (RFC 9110, 15.1). Parts, 206, are not understood here. */
const BY_DEFAULT = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])

/** Statuses whose meaning for caches is implemented, for `must-understand`. */
const UNDERSTOOD = new Set([...BY_DEFAULT, 302, 303, 307, 400, 403, 406, 409, 415, 422, 500, 502, 503, 504])

/** Statuses that are never kept: a part is not the whole, and 304 is no answer by itself. */
const NEVER = new Set([206, 304])

/** The part of the time since its last change for which something is guessed to stay as it is, and the longest guess. */
const GUESS = 0.1
const LONGEST_GUESS = 86_400_000

/**
 * What a shared cache may do with an answer.
 *
 * Our own key is no `Authorization` in the sense of 3.5: it is added below the cache and is not the client's. Answers that set
 * cookies are never kept: the RFC leaves that to the upstream's directives, and a session given to all is beyond repair.
 *
 * @param fresh milliseconds for which an answer is fresh whose upstream says nothing
 */
export function policyOf(exchanged: Exchanged, fresh: number | undefined): Policy {
  const { method, asked, status, fields, cookies } = exchanged
  const targeted = readTargeted(fields['cdn-cache-control'])
  const directives = targeted ?? readDirectives(fields['cache-control'])
  const says = (name: string) => directives.has(name)
  const { lifetime, by } = lifetimeOf(exchanged, directives, targeted !== undefined, fresh)

  const age = ageOf(exchanged)
  const understood = !says('must-understand') || UNDERSTOOD.has(status)
  const allowed = says('must-understand') ? understood : !says('no-store')
  const storable =
    (method === 'GET' || method === 'HEAD') &&
    status >= 200 &&
    !NEVER.has(status) &&
    allowed &&
    !says('private') &&
    !readDirectives(asked['cache-control']).has('no-store') &&
    (asked.authorization === undefined || says('public') || says('s-maxage') || says('must-revalidate')) &&
    // Without a word on it, what a cookie asked for may be its owner's.
    (by === 'upstream' || says('public') || (BY_DEFAULT.has(status) && asked.cookie === undefined)) &&
    !cookies &&
    !members(fields.vary).includes('*')

  return {
    storable,
    lifetime,
    by,
    age,
    spent: by === 'option' ? correctedAge(exchanged) : age,
    confirm: says('no-cache'),
    strict: says('must-revalidate') || says('proxy-revalidate') || says('s-maxage'),
    whileAsked: milliseconds(directives, 'stale-while-revalidate'),
    ifError: milliseconds(directives, 'stale-if-error'),
  }
}

/** The freshness lifetime (4.2.1). A targeted field stands in place of `Cache-Control` and `Expires` (RFC 9213, 2.1). */
function lifetimeOf(
  { status, fields, receivedAt }: Exchanged,
  directives: Directives,
  targeted: boolean,
  fresh: number | undefined,
): Pick<Policy, 'lifetime' | 'by'> {
  const told = milliseconds(directives, 's-maxage') ?? milliseconds(directives, 'max-age')
  if (told !== undefined) return { lifetime: told, by: 'upstream' }
  const date = readDate(fields.date, receivedAt) ?? receivedAt
  if (!targeted && fields.expires !== undefined) {
    const expires = readDate(fields.expires, receivedAt) ?? Number.NEGATIVE_INFINITY
    return { lifetime: Math.max(0, expires - date), by: 'upstream' }
  }
  // A guess, ours or the owner's, only where the RFC allows one (4.2.2).
  if (!BY_DEFAULT.has(status) && !directives.has('public')) return { lifetime: 0, by: 'nobody' }
  if (fresh !== undefined && status < 400) return { lifetime: fresh, by: 'option' }
  const changed = readDate(fields['last-modified'], receivedAt)
  if (changed === undefined || changed >= date) return { lifetime: 0, by: 'nobody' }
  return { lifetime: Math.min(LONGEST_GUESS, (date - changed) * GUESS), by: 'guess' }
}

/** The corrected initial age (4.2.3): by the `Age` it came with and the time it took, or by its `Date` when that says more. */
function ageOf({ fields, receivedAt, took }: Exchanged): number {
  const date = readDate(fields.date, receivedAt) ?? receivedAt
  // `Date` is in whole seconds, cut off: less than one is no age.
  const apparent = receivedAt - date < 1000 ? 0 : receivedAt - date
  return Math.max(apparent, correctedAge({ fields, took }))
}

/** By the `Age` alone, for which no clocks must agree. */
function correctedAge({ fields, took }: Pick<Exchanged, 'fields' | 'took'>): number {
  return readAge(fields.age) * 1000 + took
}

function milliseconds(directives: Directives, name: string): number | undefined {
  const seconds = secondsOf(directives, name)
  return seconds === undefined ? undefined : seconds * 1000
}
