import type { App } from '../app.ts'
import type { Answer, Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Route } from '../route/router.ts'
import { type Described, plainOperations } from '../transport/openapi.ts'
import { own } from './fetch-adapter.ts'

/** An app's own routes, as the site calls them. */
export interface AppRoutes {
  /** Those that it lists, so that a clash is found at start. */
  readonly routes: readonly Route[]
  /** What takes the calls that no other route takes; undefined when the app has no routes of its own. */
  readonly fallback: ((call: Call) => Promise<Answer>) | undefined
  readonly described: Described
}

/** @param within runs code of the app */
export function appRoutes({ routes }: Pick<App, 'routes'>, within: <Result>(run: () => Result) => Result): AppRoutes {
  if (routes === undefined) return { routes: [], fallback: undefined, described: { paths: {} } }
  const handle = (call: Call) => within(() => own(routes, call))
  const listed = Map.groupBy(listedIn(routes), ({ path }) => path)
  return {
    fallback: handle,
    routes: [...listed].map(([path, listed]) => ({
      path,
      owner: 'routes',
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
      operator: false,
      handle: (call: Call) => handle(call).catch((thrown) => Promise.reject(otherMethod(thrown, call, listed))),
    })),
    described: {
      paths: Object.fromEntries(
        [...listed].map(([path, listed]) => [
          path,
          plainOperations(
            path,
            listed.map(({ method }) => method),
            "One of the app's own routes.",
          ),
        ]),
      ),
    },
  }
}

/** No route took the call, though one has its path: that one takes other methods. A pattern such as `*` may take more, which is not known before. */
function otherMethod(thrown: unknown, call: Call, listed: readonly { readonly method: string }[]): unknown {
  const methods = new Set(listed.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))
  const isThere = thrown instanceof WeirError && thrown.code === 'not_found' && !methods.has('ALL')
  if (!isThere || methods.has(call.method)) return thrown
  const allow = [...methods].join(', ')
  return new WeirError('method_not_allowed', `expected ${allow} at ${call.path.slice(0, 200)}, got ${call.method}`, {
    headers: { allow },
  })
}

/** Without patterns, such as `:id{[0-9]+}`: the router here does not read Hono's, and Hono itself answers what they refuse. */
function listedIn(routes: NonNullable<App['routes']>): readonly { readonly method: string; readonly path: string }[] {
  return (routes.routes ?? [])
    .map(({ method, path }) => ({ method, path: path.replaceAll(/\{.*?\}(?=\?|\/|$)/g, '') }))
    .filter(({ path }) => !path.includes('*'))
}
