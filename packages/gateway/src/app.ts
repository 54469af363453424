import type { Identity, MaybePromise } from './call.ts'
import { ConfigError } from './errors.ts'
import { APP_OPTIONS, GRAPHQL_OPTIONS } from './options/app.ts'
import { type Bytes, isRecord, type OptionsOf, readOptions } from './options.ts'
import { isPart, KINDS, kindOf, type Part } from './site/kinds.ts'
import type { DeclaredPart } from './site/parts.ts'

export type { Part } from './site/kinds.ts'

/** For messages: `a feed, a log or a stream`. */
const KIND_TITLES = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(KINDS.map(({ title }) => title))

/** The app's own routes: a Hono app, or anything with a Web-standard fetch. */
export interface Routes {
  fetch(request: Request): Response | Promise<Response>
  /** Hono lists its routes here; clashes with the rest of the app are found by it. */
  readonly routes?: readonly { readonly method: string; readonly path: string }[]
}

/** What of a call says who calls. */
export interface Caller {
  /** A header by its lower-case name; repeated ones are joined as HTTP says. */
  readonly header: (name: string) => string | undefined
  /** Path and query, still percent-encoded. */
  readonly url: string
  /** The address of the peer. */
  readonly remote: string
}

/** @throws WeirError to refuse a call; anything else that is thrown is answered as a failure of the gateway */
export type Identify = (call: Caller) => MaybePromise<Identity | undefined>

/** What `defineApp()` takes. */
export interface AppOptions {
  /** The app in metrics, in the terminal and in errors: letters, digits and dashes. */
  readonly name: string
  readonly use: readonly Part[]
  /** Who calls, for feeds and logs with a scope; undefined when nobody is known. */
  readonly identify?: Identify
  /** Other sites whose pages may ask here (CORS) and open a WebSocket, such as `https://shop.example`; `*` for all. */
  readonly cors?: readonly string[] | string
  /** Serves the feeds and logs at `/graphql` too. */
  readonly graphql?: boolean | GraphqlOptions
  readonly routes?: Routes
  /** The folder of its built page, as a file: URL. */
  readonly page?: URL
}

/** `graphql` of an app. */
export interface GraphqlOptions {
  /** Whether clients may ask for the schema. */
  readonly introspection?: boolean
  /** Serves the GraphiQL page to browsers; it brings introspection. By default where `NODE_ENV` is `development`. */
  readonly graphiql?: boolean
  /** How deep fields may lie inside fields. 10 by default. */
  readonly maxDepth?: number
  /** What a document may cost: a field of a feed or a log counts ten, each field inside it one, a page of a log ten times that. 1,000 by default. */
  readonly maxCost?: number
  /** How many aliases a document may have. 100 by default. */
  readonly maxAliases?: number
  /** The largest body of a request. `'100kb'` by default. */
  readonly maxBody?: Bytes
}

/** An app: one site, with its feeds, its logs, its streams, its proxies, its JSON-RPC routes, its sockets, its routes and its page. */
export interface App {
  readonly kind: 'app'
  readonly name: string
  /** Its parts; the feeds of a JSON-RPC route follow it. */
  readonly use: readonly Part[]
  readonly identify: Identify | undefined
  readonly cors: readonly string[]
  readonly graphql: (OptionsOf<typeof GRAPHQL_OPTIONS> & { readonly graphiql: boolean }) | undefined
  readonly routes: Routes | undefined
  readonly page: URL | undefined
}

/**
 * Declares an app. Nothing starts; `createGateway` or `weir start` runs it.
 *
 * @throws ConfigError naming the option, what was expected and what came
 */
export function defineApp(options: AppOptions): App {
  const where = `app ${JSON.stringify(isRecord(options) ? options.name : options)}`
  const { name, cors } = readOptions(where, APP_OPTIONS, options)
  const graphql = graphqlOf(where, options.graphql)
  const { use: given, identify, routes, page } = options
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw new ConfigError(where, 'name', 'lower-case letters, digits and dashes', name)
  if (!Array.isArray(given)) throw new ConfigError(where, 'use', 'a list of parts, such as feeds and logs', given)
  given.forEach((part: unknown, index) => {
    if (!isPart(part)) throw new ConfigError(where, `use[${index}]`, KIND_TITLES, part)
  })
  const use = (given as readonly Part[]).flatMap((part) => [part, ...((kindOf(part).brings?.(part) ?? []) as Part[])])
  const names = new Set<string>()
  for (const { name } of use as readonly DeclaredPart[]) {
    if (name === undefined) continue
    if (names.has(name)) throw new ConfigError(where, 'use', 'parts with different names', name)
    names.add(name)
  }
  if (identify !== undefined && typeof identify !== 'function')
    throw new ConfigError(where, 'identify', 'a function', identify)
  const scoped = use.find((part) => (kindOf(part).topics?.(part).scope ?? 'public') !== 'public')
  if (scoped !== undefined && identify === undefined)
    throw new ConfigError(
      where,
      'identify',
      `a function, since the ${scoped.kind} at ${scoped.path} is not public`,
      identify,
    )
  if (routes !== undefined && typeof routes.fetch !== 'function')
    throw new ConfigError(where, 'routes', 'a Hono app or { fetch }', routes)
  if (page !== undefined && !(page instanceof URL && page.protocol === 'file:'))
    throw new ConfigError(where, 'page', 'a file: URL', page)
  if (graphql !== undefined && !use.some((part) => kindOf(part).topics !== undefined))
    throw new ConfigError(where, 'graphql', 'an app with a feed or a log at least', use)
  return { kind: 'app', name, use, identify, cors, graphql, routes, page }
}

function graphqlOf(where: string, given: unknown): App['graphql'] {
  if (given === undefined || given === false) return undefined
  const read = readOptions(`${where}: graphql`, GRAPHQL_OPTIONS, given === true ? {} : given)
  return { ...read, graphiql: read.graphiql ?? process.env.NODE_ENV === 'development' }
}
