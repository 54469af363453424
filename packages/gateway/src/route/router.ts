import { LRUCache } from 'lru-cache'
import { addRoute, createRouter, findRoute } from 'rou3'
import type { Answer, Call, MaybePromise } from '../call.ts'
import { ConfigError, WeirError } from '../errors.ts'

/** What one address of a site does. */
export interface Route {
  /** Such as `/prices/:mint`. */
  readonly path: string
  /** Who declared it, for messages and metrics: `feed "price"`. */
  readonly owner: string
  readonly methods: readonly string[]
  /** What it gives, in a few words for those who read what a site serves. */
  readonly help?: string
  /** Operators' addresses answer also while the site is closed to others. */
  readonly operator: boolean
  /** Whether it depends on who calls. */
  readonly scoped?: boolean
  handle(call: Call, parameters: Readonly<Record<string, string>>): MaybePromise<Answer>
}

export interface Match {
  readonly route: Route
  readonly parameters: Readonly<Record<string, string>>
}

/** Which route a call means. */
export interface Router {
  /** Undefined when no route has this path. @throws WeirError `method_not_allowed`, `not_found` */
  find(call: Pick<Call, 'method' | 'path'>): Match | undefined
}

/** Addresses that are the gateway's on every site, now and later. */
const OURS = /^\/weir(\/|$)/

/** Paths whose route is remembered, and the longest of them: a cached read spends more time on finding its route than on its value. */
const REMEMBERED = 10_000
const LONGEST_REMEMBERED = 256

const NO_PARAMETERS: Readonly<Record<string, string>> = Object.freeze({})

/**
 * @param ours those of the gateway itself, which may be below /weir
 * @throws ConfigError when two routes have one address
 */
export function createRoutes(app: string, ours: readonly Route[], routes: readonly Route[]): Router {
  const where = `app ${JSON.stringify(app)}`
  const router = createRouter<Route>()
  const owners = new Map<string, Route>()
  const theirs = routes.find(({ path }) => OURS.test(path))
  if (theirs !== undefined)
    throw new ConfigError(where, theirs.owner, 'an address outside /weir, which the gateway owns', theirs.path)
  for (const route of [...ours, ...routes]) {
    const shape = route.path.replace(/:[^/]+/g, ':')
    const other = owners.get(shape)
    if (other !== undefined) {
      throw new ConfigError(
        where,
        route.owner,
        `an address of its own, since ${other.owner} has ${other.path}`,
        route.path,
      )
    }
    owners.set(shape, route)
    addRoute(router, '', route.path, route)
  }

  const remembered = new LRUCache<string, Match>({ max: REMEMBERED })

  function match(path: string): Match | undefined {
    const found = findRoute(router, '', path)
    // Nothing else may answer for the gateway: a proxy of everything would, or an app's own `*`.
    if (OURS.test(path) && (found === undefined || !OURS.test(found.data.path))) {
      throw new WeirError('not_found', `${path}: the gateway serves nothing here`)
    }
    if (found === undefined) return undefined
    const known = { route: found.data, parameters: found.params ?? NO_PARAMETERS }
    if (path.length <= LONGEST_REMEMBERED) remembered.set(path, known)
    return known
  }

  return {
    find({ method, path }) {
      const found = remembered.get(path) ?? match(path)
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
