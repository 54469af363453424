import type { Answer, AnswerHeaders, Call } from '../call.ts'

/** The headers that pages of other sites may read, besides those that all may (Fetch, 3.3.3). */
const EXPOSED =
  'age, cache-status, etag, ratelimit, ratelimit-policy, retry-after, weir-level, weir-stale, weir-version, weir-lineage, date'

/** How long a browser remembers what it may do, in seconds; no browser does for longer. */
const REMEMBERED = 7200

/** Lets pages of other sites ask here (the CORS protocol of Fetch, 3.3). Cookies are never taken from them. */
export interface CrossOrigin {
  /** The answer to a browser that asks whether a page may ask; undefined when that is not what is asked. */
  preflight(call: Call): Answer | undefined
  /** The same answer, with the sites that may read it. */
  allow(call: Call, answer: Answer): Answer
}

/** @param origins sites whose pages may ask, such as `https://shop.example`; `*` for all */
export function crossOrigin(origins: readonly string[]): CrossOrigin | undefined {
  if (origins.length === 0) return undefined
  const all = origins.includes('*')

  function who(call: Call): string | undefined {
    if (all) return '*'
    const origin = call.header('origin')
    return origin !== undefined && origins.includes(origin) ? origin : undefined
  }

  /** Also without a site: a shared cache must not give the answer for one site to a page of another. */
  function headersFor(call: Call, given: AnswerHeaders): AnswerHeaders {
    const origin = who(call)
    const vary = all ? {} : { vary: given.vary === undefined ? 'origin' : `${given.vary}, origin` }
    return {
      ...vary,
      ...(origin !== undefined && {
        'access-control-allow-origin': origin,
        'access-control-expose-headers': EXPOSED,
      }),
    }
  }

  return {
    preflight(call) {
      const method = call.header('access-control-request-method')
      if (call.method !== 'OPTIONS' || method === undefined || call.header('origin') === undefined) return undefined
      const asked = call.header('access-control-request-headers')
      const allowed = who(call) !== undefined && {
        'access-control-allow-methods': method,
        ...(asked !== undefined && { 'access-control-allow-headers': asked }),
        'access-control-max-age': String(REMEMBERED),
      }
      return { kind: 'whole', status: 204, headers: { ...allowed }, body: null }
    },

    allow(call, answer) {
      // A route of the app may have named the sites itself.
      if (answer.kind === 'socket' || answer.headers['access-control-allow-origin'] !== undefined) return answer
      return { ...answer, headers: { ...answer.headers, ...headersFor(call, answer.headers) } }
    },
  }
}
