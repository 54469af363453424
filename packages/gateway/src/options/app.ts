import type { OptionTable } from '../options.ts'

/** The options of `defineApp()`. */
export const APP_OPTIONS = {
  name: { kind: 'text', help: 'The name of the app in metrics, in the terminal and in errors.' },
  use: {
    kind: 'any',
    takes: 'a list of declarations',
    help: 'Its feeds, logs, streams, proxies, JSON-RPC routes and sockets.',
  },
  identify: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(call) => { tenant, user, expires }`: the caller, for feeds and logs with a scope; undefined if unknown. A live connection ends at `expires`, a Date or milliseconds since 1970.',
  },
  cors: {
    kind: 'texts',
    default: '',
    help: "Origins whose pages may call the app and open WebSockets, such as `https://shop.example`; `*` for all. The app's own pages always may. HTTP requests from other origins carry no cookies; WebSocket handshakes of browsers do.",
  },
  graphql: {
    kind: 'any',
    takes: '`true` or an object',
    optional: true,
    help: '`true`, or the options below. Also serves the feeds and logs at `/graphql`.',
  },
  routes: {
    kind: 'any',
    takes: 'an object with `fetch`',
    optional: true,
    help: 'A Hono app, or anything with a Web-standard `fetch(request)`, for all other routes.',
  },
  page: { kind: 'any', takes: 'a file: URL', optional: true, help: 'Folder of the built page, as a file: URL.' },
} as const satisfies OptionTable

/** `graphql` of an app. */
export const GRAPHQL_OPTIONS = {
  introspection: {
    kind: 'boolean',
    default: false,
    help: 'Whether clients may query the schema. GraphiQL needs it, so `graphiql` implies it.',
  },
  graphiql: {
    kind: 'boolean',
    optional: true,
    help: 'Serves the GraphiQL page to browsers. By default only if `NODE_ENV` is `development`.',
  },
  maxDepth: { kind: 'integer', default: 10, min: 1, max: 100, help: 'Maximum nesting of fields.' },
  maxCost: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'Maximum cost of a document: a feed or log costs ten, each field inside it one, and a page of a log ten times that.',
  },
  maxAliases: { kind: 'integer', default: 100, min: 0, help: 'Maximum aliases in a document.' },
  maxBody: { kind: 'bytes', default: '100kb', min: 1, help: 'Maximum size of a request body.' },
} as const satisfies OptionTable
