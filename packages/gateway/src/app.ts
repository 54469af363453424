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
  /** Hono lists its routes here, which reveals conflicts with the rest of the app. */
  readonly routes?: readonly { readonly method: string; readonly path: string }[]
}

/** The parts of a call that identify the caller. */
export interface Caller {
  /** A header by its lower-case name. Repeated headers are joined by commas. */
  readonly header: (name: string) => string | undefined
  /** Path and query, percent-encoded. */
  readonly url: string
  /** The IP address of the peer. */
  readonly remote: string
}

/** @throws WeirError to refuse a call. Any other error is answered as a failure of the gateway */
export type Identify = (call: Caller) => MaybePromise<Identity | undefined>

/** The options of `defineApp()`. */
export interface AppOptions {
  /** The name of the app in metrics, in the terminal and in errors: letters, digits and dashes. */
  readonly name: string
  readonly use: readonly Part[]
  /** Returns the caller, for feeds and logs with a scope; undefined if unknown. */
  readonly identify?: Identify
  /** Origins whose pages may call the app (CORS) and open WebSockets, such as `https://shop.example`; `*` for all. */
  readonly cors?: readonly string[] | string
  /** Also serves the feeds and logs at `/graphql`. */
  readonly graphql?: boolean | GraphqlOptions
  readonly routes?: Routes
  /** The folder of the built page, as a file: URL. */
  readonly page?: URL
}

/** `graphql` of an app. */
export interface GraphqlOptions {
  /** Whether clients may query the schema. */
  readonly introspection?: boolean
  /** Serves the GraphiQL page to browsers, and implies introspection. By default only if `NODE_ENV` is `development`. */
  readonly graphiql?: boolean
  /** Maximum nesting of fields. 10 by default. */
  readonly maxDepth?: number
  /**
   * Maximum cost of a document: a feed or log costs ten, each field inside it one, and a page of a log ten times that.
   * 1,000 by default.
   */
  readonly maxCost?: number
  /** Maximum aliases in a document. 100 by default. */
  readonly maxAliases?: number
  /** Maximum size of a request body. `'100kb'` by default. */
  readonly maxBody?: Bytes
}

/** An app: one site with its parts, its own routes and its page. */
export interface App {
  readonly kind: 'app'
  readonly name: string
  /** Its parts. The feeds of a JSON-RPC route come after it. */
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
 * @throws ConfigError with the option, the expected and the given value
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
    throw new ConfigError(where, 'graphql', 'an app with at least one feed or log', use)
  return { kind: 'app', name, use, identify, cors, graphql, routes, page }
}

function graphqlOf(where: string, given: unknown): App['graphql'] {
  if (given === undefined || given === false) return undefined
  const read = readOptions(`${where}: graphql`, GRAPHQL_OPTIONS, given === true ? {} : given)
  return { ...read, graphiql: read.graphiql ?? process.env.NODE_ENV === 'development' }
}
