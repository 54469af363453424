import { LRUCache } from 'lru-cache'
import { addRoute, createRouter, findRoute } from 'rou3'
import type { Answer, Call, MaybePromise } from '../call.ts'
import { ConfigError, WeirError } from '../errors.ts'

/** What a call holds while it is answered. A live connection counts against the limit of the process. */
export type Holds = 'nothing' | 'connection'

/** A route of a site. */
export interface Route {
  /** Such as `/prices/:mint`. */
  readonly path: string
  /** The declaration, for messages and metrics: `feed "price"`. */
  readonly owner: string
  readonly methods: readonly string[]
  /** A short description, for the list of addresses. */
  readonly help?: string
  /** Operators' routes also answer while the site is closed to clients. */
  readonly operator: boolean
  /** Whether the answer depends on the caller. */
  readonly scoped?: boolean
  /** Nothing by default; a function where the form of the answer decides. It may throw as `handle`. */
  readonly holds?: Holds | ((call: Call) => Holds)
  /** @param holds what the route said that this call holds; the front path has reserved it */
  handle(call: Call, parameters: Readonly<Record<string, string>>, holds: Holds): MaybePromise<Answer>
}

export interface Match {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
}

/** Finds the route of a call. */
export interface Router {
  /** Returns undefined if no route has this path. @throws WeirError `method_not_allowed`, `not_found` */
  find(call: Pick<Call, 'method' | 'path'>): Match | undefined
}

/** Addresses that the gateway reserves on every site. */
const OURS = /^\/weir(\/|$)/

/** Maximum number and length of paths whose match is cached: matching takes longer than the rest of a cached read. */
const MAX_MATCHES = 10_000
const MAX_MATCHED_PATH = 256

const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({})

/**
 * @param ours routes of the gateway, which may be below /weir
 * @throws ConfigError if two routes have the same address
 */
export function createRoutes(app: string, ours: readonly Route[], routes: readonly Route[]): Router {
  const where = `app ${JSON.stringify(app)}`
  const router = createRouter<Route>()
  const owners = new Map<string, Route>()
  const theirs = routes.find(({ path }) => OURS.test(path))
  if (theirs !== undefined)
    throw new ConfigError(where, theirs.owner, 'an address outside /weir, which the gateway reserves', theirs.path)
  for (const route of [...ours, ...routes]) {
    const shape = route.path.replace(/:[^/]+/g, ':')
    const other = owners.get(shape)
    if (other !== undefined) {
      throw new ConfigError(where, route.owner, `another address, since ${other.owner} has ${other.path}`, route.path)
    }
    owners.set(shape, route)
    addRoute(router, '', route.path, route)
  }

  const matches = new LRUCache<string, Match>({ max: MAX_MATCHES })

  function match(path: string): Match | undefined {
    const found = findRoute(router, '', path)
    // No other route may answer here, such as a proxy of everything or an app's `*`.
    if (OURS.test(path) && (found === undefined || !OURS.test(found.data.path))) {
      throw new WeirError('not_found', `${path}: the gateway serves nothing here`)
    }
    if (found === undefined) return undefined
    const matched = { route: found.data, parameters: found.params ?? NO_PARAMETERS }
    if (path.length <= MAX_MATCHED_PATH) matches.set(path, matched)
    return matched
  }

  return {
    find({ method, path }) {
      const found = matches.get(path) ?? match(path)
      if (found === undefined) return undefined
      const { methods } = found.route
      if (!methods.includes(method)) {
        throw new WeirError(
          'method_not_allowed',
          `${found.route.path}: expected ${methods.join(' or ')}, got ${method}`,
          {
            headers: { allow: methods.join(', ') },
          },
        )
      }
      return found
    },
  }
}
