import { ConfigError, withoutSecrets } from './errors.ts'

/** A duration with its unit: `'100ms'`, `'1s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** An amount of memory with its unit: `'64kb'`, `'16mb'`, `'1gb'` (1 kb is 1,024 bytes). */
export type Bytes = `${number}${'b' | 'kb' | 'mb' | 'gb'}`

/** The type of an option. */
type Kind = 'duration' | 'bytes' | 'integer' | 'boolean' | 'text' | 'url' | 'texts' | 'any'

interface Compiled {
  duration: number
  bytes: number
  integer: number
  boolean: boolean
  text: string
  url: string
  texts: readonly string[]
  any: unknown
}

/** One row of a table of options. `docs/OPTIONS.md` is generated from these tables. */
interface Option {
  readonly kind: Kind
  /** The default, written like a given value. An option without a default is required unless `optional`. */
  readonly default?: string | number | boolean
  readonly optional?: true
  readonly min?: number
  readonly max?: number
  readonly help: string
}

export type OptionTable = Readonly<Record<string, Option>>

/** The result of reading a table: durations in milliseconds, sizes in bytes, undefined for missing optionals. */
export type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { optional: true }
    ? Compiled[Table[Name]['kind']] | undefined
    : Compiled[Table[Name]['kind']]
}

/** The options of `http()`. */
export const HTTP_OPTIONS = {
  name: {
    kind: 'text',
    help: 'The name of the upstream in metrics, errors and budgets. Apps that use the same name share one budget.',
  },
  url: { kind: 'url', help: 'Base URL of the upstream; the path of a call is appended.' },
  keys: { kind: 'texts', optional: true, help: 'API keys: a list, or one string separated by commas.' },
  auth: {
    kind: 'any',
    optional: true,
    help: "How a key is sent: `{ header: 'x-api-key' }` (with an optional `prefix`), or `{ query: 'apikey' }`. By default `authorization: Bearer KEY`.",
  },
  limits: {
    kind: 'any',
    optional: true,
    help: "Rate limits of the upstream: `[{ calls: 50, per: '1s', by: 'account' }]`, per account or per key.",
  },
  reserve: {
    kind: 'integer',
    default: 0,
    min: 0,
    help: 'Calls of each limit that are left to other users of the same account.',
  },
  pastUsage: {
    kind: 'text',
    default: 'unknown',
    help: '`unknown`: the budget grants nothing for one window at start, since earlier calls may still count. `none`: there were no earlier calls.',
  },
  pace: {
    kind: 'boolean',
    default: false,
    help: 'Spreads starts evenly over each window instead of sending a whole limit at once.',
  },
  retries: {
    kind: 'integer',
    default: 2,
    min: 0,
    max: 10,
    help: 'Retries of a failed call, within its deadline and within a tenth of the traffic.',
  },
  concurrency: {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 10_000,
    help: 'Connections to the upstream, and concurrent calls.',
  },
  timeout: {
    kind: 'duration',
    default: '10s',
    min: 1,
    help: 'Maximum duration of a call, from its start to the last byte.',
  },
  connectionAge: {
    kind: 'duration',
    default: '5m',
    min: 1000,
    help: 'Maximum age of a connection. A new one then replaces it, so that a moved upstream is followed.',
  },
  connectTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'Maximum time to connect; by default `timeout`.',
  },
  headersTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'Maximum time until the response headers arrive; by default `timeout`.',
  },
  bodyTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'Maximum idle time while reading a response body; by default `timeout`.',
  },
  liveShare: {
    kind: 'integer',
    default: 80,
    min: 1,
    max: 100,
    help: 'Percentage of the limits that watched values may use. If they need more, they are polled less often.',
  },
  conditional: {
    kind: 'boolean',
    default: true,
    help: 'Sends `If-None-Match` for answers that came with an `ETag`.',
  },
  statusOf: {
    kind: 'any',
    optional: true,
    help: '`(answer) => status`: the real status of an answer with 200, for upstreams that report errors in the body.',
  },
  stall: {
    kind: 'duration',
    default: '2s',
    min: 0,
    help: 'Longest delay of a call in the network. A call that is abandoned earlier may still arrive, and counts until then.',
  },
  lag: {
    kind: 'any',
    optional: true,
    help: '`(answer) => milliseconds`: the age of the answered data, for `anyOf` by score; by default its `Age` header.',
  },
  maxResponse: { kind: 'bytes', default: '16mb', min: 1, help: 'Maximum size of an answer.' },
  headers: { kind: 'any', optional: true, help: 'Headers of every call.' },
} as const satisfies OptionTable

const { conditional: _conditional, statusOf: _statusOf, ...SHARED } = HTTP_OPTIONS

/** The options of `jsonRpc()`. */
export const JSON_RPC_OPTIONS = {
  ...SHARED,
  url: {
    kind: 'url',
    help: 'URL of the node. A query such as `?api-key=…` is sent with each call and never shown.',
  },
  timeout: { ...HTTP_OPTIONS.timeout, default: '30s' },
  limits: { ...HTTP_OPTIONS.limits, help: `${HTTP_OPTIONS.limits.help} By default 100 calls per second.` },
  batch: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 1000,
    help: 'Maximum size of a JSON-RPC batch. Calls that start at the same moment share a batch, and each is charged individually. If the provider refuses batches, calls are sent one by one from then on. At most `concurrency` calls start at once.',
  },
} as const satisfies OptionTable

/** The options of `weir()`. */
export const WEIR_OPTIONS = {
  name: {
    kind: 'text',
    default: 'origin',
    help: 'The name of the origin in metrics and errors. Two origins need different names.',
  },
  url: { kind: 'url', help: 'Base URL at which the origin serves the same app.' },
  headers: { kind: 'any', optional: true, help: 'Headers of every call and handshake.' },
  silenceTimeout: {
    kind: 'duration',
    default: '5s',
    min: 10,
    help: 'Maximum silence of a connection before it is closed. After half of it, a ping is sent.',
  },
  maxTopics: {
    kind: 'integer',
    default: 500,
    min: 1,
    help: "Maximum topics per connection, equal to the origin's `socketTopics`. More topics use further connections.",
  },
  timeout: { kind: 'duration', default: '5s', min: 1, help: 'Maximum duration of a call.' },
} as const satisfies OptionTable

/** The options of `anyOf()`, besides the upstreams. */
export const ANY_OF_OPTIONS = {
  choose: {
    kind: 'text',
    default: 'order',
    help: '`order`: in the given order. `score`: the best by recent answer times and errors.',
  },
  hedge: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'Delay after which a second provider is called if the first has not answered.',
  },
  maxLag: {
    kind: 'integer',
    default: 50,
    min: 0,
    help: 'Maximum lag behind the best provider, in slots. A provider with more lag is called only if no other answers. `jsonRpc()` reads the position from `context.slot`.',
  },
  retries: { kind: 'integer', default: 2, min: 0, max: 10, help: 'Retries over all providers.' },
} as const satisfies OptionTable

/** The options of `feed()`. */
export const FEED_OPTIONS = {
  name: { kind: 'text', help: 'The name of the feed in metrics and in GraphQL.' },
  key: { kind: 'any', help: 'A schema for each part of the key. Parts that are not in the path are query parameters.' },
  maxKeyLength: {
    kind: 'integer',
    default: 512,
    min: 1,
    max: 32_768,
    help: 'Maximum length of one part of a key, in characters.',
  },
  value: { kind: 'any', help: 'The schema of the value.' },
  from: {
    kind: 'any',
    optional: true,
    help: 'The upstream. Not needed if the loader needs none, as for a value derived from other feeds.',
  },
  load: {
    kind: 'any',
    optional: true,
    help: 'How to load values: `{ one }` for one key per call, or `{ many, batch, within }` for several. Not needed for an origin, `weir(…)`.',
  },
  scope: {
    kind: 'text',
    default: 'public',
    help: "Who may see a value: `public`, `tenant` or `user`. The app's `identify` names the caller.",
  },
  fresh: { kind: 'duration', default: '1s', min: 0, help: 'How long a value is served without a call.' },
  stale: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond `fresh` a value may be served while it is refetched.',
  },
  staleIfError: {
    kind: 'duration',
    optional: true,
    min: 0,
    help: 'How long beyond `fresh` a value may be served while the upstream fails; by default `stale`.',
  },
  mustRevalidate: {
    kind: 'boolean',
    default: false,
    help: "Never serves a value beyond `fresh`: callers get the upstream's answer or an error.",
  },
  spread: {
    kind: 'integer',
    default: 10,
    min: 0,
    max: 50,
    help: 'Percentage by which `fresh` is randomly shortened, so that keys that arrive together do not expire together.',
  },
  order: {
    kind: 'any',
    optional: true,
    help: '`(value) => number`: the position of a value in an order of the upstream, such as its slot. A value with a lower position than the cached one is rejected, whether fetched or pushed.',
  },
  asOf: {
    kind: 'any',
    optional: true,
    help: '`(value) => Date | number | string`: the time that a value states about itself. Age and freshness count from it.',
  },
  tags: {
    kind: 'any',
    optional: true,
    help: '`(value, key) => strings`: tags by which `dropTagged()` finds the value.',
  },
  prewarm: {
    kind: 'any',
    optional: true,
    help: 'Keys to fetch at start: a list, or the file: URL of a JSON list.',
  },
  essential: {
    kind: 'boolean',
    default: true,
    help: 'If false, the feed is suspended while the gateway is `strained`: it serves cached values and makes no calls.',
  },
  deadline: { kind: 'duration', default: '10s', min: 1, help: 'Maximum time that a client waits for a value.' },
  cdn: {
    kind: 'duration',
    optional: true,
    min: 0,
    help: 'How long CDNs may cache the value (`CDN-Cache-Control`), if that differs from browsers.',
  },
  live: { kind: 'any', optional: true, help: "Polls watched values: `{ every: '1s', linger: '30s' }`." },
} as const satisfies OptionTable

/** The options of `createBatch()`. */
export const BATCH_OPTIONS = {
  many: {
    kind: 'any',
    help: '`(keys, call) => results`: one result for each key, in the same order: a value, `absent(…)` or an Error.',
  },
  batch: { kind: 'integer', default: 50, min: 1, max: 100_000, help: 'Maximum keys per call.' },
  within: { kind: 'duration', default: '10ms', min: 0, help: 'How long the first key of a batch waits for others.' },
} as const satisfies OptionTable

/** `load` of a feed that fetches several keys in one call. */
export const LOAD_OPTIONS = {
  ...BATCH_OPTIONS,
  bytes: {
    kind: 'bytes',
    optional: true,
    min: 1,
    help: 'Maximum length of all keys in one call, for upstreams with short URLs.',
  },
  keyOf: {
    kind: 'any',
    optional: true,
    help: '`(value) => key`: `many` then returns values in any order. Each is matched by its key, and missing ones are absent.',
  },
  missing: {
    kind: 'duration',
    default: '10s',
    min: 0,
    help: 'With `keyOf`: how long a missing value counts as absent.',
  },
} as const satisfies OptionTable

/** `live` of a feed. */
const POLL_OPTIONS = {
  every: { kind: 'duration', default: '1s', min: 1, help: 'Polling interval of a watched value.' },
  linger: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long a value stays watched after its last subscriber left.',
  },
  maxInterval: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'Maximum polling interval. If the budget is too small for all keys, those with few subscribers or few changes are polled less often, but at least this often.',
  },
} as const satisfies OptionTable

/** `live` of a feed. */
export const LIVE_OPTIONS = {
  ...POLL_OPTIONS,
  dependsOn: {
    kind: 'any',
    optional: true,
    help: '`(key) => [at(feed, key), …]`: the parts of a derived value. It is reloaded when a part changes, is as old as its oldest part, and is stale when a part is.',
  },
  within: {
    kind: 'duration',
    default: '0ms',
    min: 0,
    help: 'With `dependsOn`: how long a change waits for related changes, so that all are published together.',
  },
  revalidateEvery: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'With `dependsOn`: how often the value is reloaded without a change.',
  },
} as const satisfies OptionTable

/** The options of `push()`. */
export const PUSH_OPTIONS = {
  url: {
    kind: 'any',
    help: 'URL of the WebSocket, `ws:` or `wss:`, or a function that returns it before each connection.',
  },
  headers: { kind: 'any', optional: true, help: 'Headers of the handshake.' },
  greet: { kind: 'any', optional: true, help: '`() => messages`: the first messages of each connection.' },
  subscribe: { kind: 'any', help: '`(key, id) => message`: subscribes to a key. `id` is unique per subscription.' },
  unsubscribe: { kind: 'any', optional: true, help: '`(key, id, token) => message`: unsubscribes.' },
  shared: {
    kind: 'any',
    optional: true,
    help: '`(key) => string`: keys with the same string share one subscription.',
  },
  read: {
    kind: 'any',
    help: '`(message) => update`: `{ key, value }`, `{ key }` if the value changed, the same with `token`, `{ accepted, token }` or `{ refused, reason }`. A `value` that is a function is called only for watched keys.',
  },
  acknowledges: {
    kind: 'boolean',
    default: false,
    help: 'Whether the upstream confirms subscriptions. Otherwise a subscription counts as active once it is sent.',
  },
  revalidateEvery: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'How often a pushed value is also fetched, in case a message was lost.',
  },
  silenceTimeout: {
    kind: 'duration',
    default: '20s',
    min: 10,
    help: 'Maximum silence of a connection before it is closed. After half of it, a ping is sent.',
  },
  maxSubscriptions: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'Maximum subscriptions; further keys are polled.',
  },
  messageRate: { kind: 'integer', default: 100, min: 1, help: 'Maximum messages per second sent to the upstream.' },
  ...POLL_OPTIONS,
} as const satisfies OptionTable

const { url, headers, revalidateEvery, silenceTimeout, maxSubscriptions, messageRate } = PUSH_OPTIONS

/** The options of `jsonRpcPush()`. */
export const JSON_RPC_PUSH_OPTIONS = {
  ...{ url, headers },
  subscribe: {
    kind: 'any',
    help: '`(key) => [method, params]`: subscribes to a key. Keys with the same result share one subscription.',
  },
  unsubscribe: { kind: 'text', help: 'The method that ends a subscription, such as `accountUnsubscribe`.' },
  keyOf: {
    kind: 'any',
    optional: true,
    help: '`(result) => key`: the key of a notification; undefined for none. By default all keys of the subscription.',
  },
  value: {
    kind: 'any',
    optional: true,
    help: '`(result, key) => value`: the value in a notification; undefined if it only reports a change. By default the value is fetched.',
  },
  ...{ revalidateEvery, silenceTimeout, maxSubscriptions, messageRate, ...POLL_OPTIONS },
} as const satisfies OptionTable

/** The options of `log()`. */
export const LOG_OPTIONS = {
  name: { kind: 'text', help: 'The name of the log in metrics and in GraphQL.' },
  key: FEED_OPTIONS.key,
  event: { kind: 'any', help: 'The schema of an event.' },
  from: {
    kind: 'any',
    optional: true,
    help: 'An origin, `weir(…)`, whose log at the same address is followed. Events are then published there.',
  },
  scope: {
    ...FEED_OPTIONS.scope,
    help: "Who may see the events: `public`, `tenant` or `user`. The app's `identify` names the caller.",
  },
  dependsOn: {
    kind: 'any',
    optional: true,
    help: '`(key) => at(feed, key)`: the value whose loader publishes new events. It is watched with the log, and read before the log is.',
  },
  history: { kind: 'any', optional: true, help: "Limits of the history: `{ events: 1000, age: '1h' }`." },
  mayPublish: {
    kind: 'any',
    optional: true,
    help: 'Which clients may publish: `true` for all, or `({ key, identity }) => boolean`; none by default.',
  },
} as const satisfies OptionTable

/** `history` of a log. */
export const HISTORY_OPTIONS = {
  events: { kind: 'integer', default: 1000, min: 1, max: 100_000, help: 'Maximum events kept per key.' },
  age: { kind: 'duration', default: '1h', min: 1, help: 'How long an event is kept.' },
} as const satisfies OptionTable

/** One row of `limits` of an upstream. */
export const LIMIT_OPTIONS = {
  calls: { kind: 'integer', optional: true, min: 1, help: 'Calls per window.' },
  cost: { kind: 'integer', optional: true, min: 1, help: 'Instead of `calls`: cost per window, such as tokens.' },
  per: { kind: 'duration', min: 1, help: 'Length of the sliding window.' },
  by: { kind: 'text', default: 'account', help: '`account`: all keys share the limit. `key`: each key has its own.' },
  lane: {
    kind: 'text',
    optional: true,
    help: 'Applies to calls of this lane only, such as a method. `*`: to each lane separately.',
  },
} as const satisfies OptionTable

/** The options of `stream()`. */
export const STREAM_OPTIONS = {
  of: { kind: 'any', help: 'The feed.' },
  choose: {
    kind: 'any',
    optional: true,
    help: "How a client selects keys: `{ query: 'mints', part: 'mint' }` accepts `?mints=a,b`. Without a selection, the stream has all watched keys.",
  },
  always: { kind: 'any', optional: true, help: 'Keys that a stream without a selection keeps watched.' },
  maxKeys: { kind: 'integer', default: 500, min: 1, max: 10_000, help: 'Maximum keys that a client may select.' },
} as const satisfies OptionTable

/** The options of `socket()`. */
export const SOCKET_OPTIONS = {
  name: { kind: 'text', help: 'The name of the socket in metrics and in errors.' },
  follow: {
    kind: 'any',
    optional: true,
    help: 'What each client receives at once and at each change: a list of `follow()`.',
  },
  receive: {
    kind: 'any',
    optional: true,
    help: '`(message, client) => …`: handles a message, parsed as JSON.',
  },
} as const satisfies OptionTable

/** The options of `proxy()`. */
export const PROXY_OPTIONS = {
  to: { kind: 'any', help: 'The upstream.' },
  name: { kind: 'text', optional: true, help: 'The name of the proxy in metrics; by default its address.' },
  methods: {
    kind: 'texts',
    default: 'GET,HEAD',
    help: 'Allowed methods; others get 405. GET includes HEAD.',
  },
  paths: {
    kind: 'texts',
    default: '/*',
    help: "Allowed paths of the upstream: `'/price/v3'`, `'/tokens/:id'`, `'/swap/*'` for everything below. Others get 404.",
  },
  forward: {
    kind: 'texts',
    optional: true,
    help: "Request headers to forward, besides those of content negotiation. Cookies and `Authorization` must be listed, since the upstream's keys are the gateway's. `x-forwarded-for` and `forwarded` are sent with the client's address if listed. Requests that differ in another listed header do not share a call.",
  },
  cdn: {
    kind: 'duration',
    optional: true,
    min: 1000,
    help: 'How long CDNs may cache a shareable answer: `CDN-Cache-Control` (RFC 9213).',
  },
  cdnPaths: {
    kind: 'texts',
    default: '/*',
    help: 'Paths to which `cdn` applies, written like `paths`. Leave out answers that must be current, such as quotes.',
  },
  dropCookies: {
    kind: 'boolean',
    default: false,
    help: 'Removes cookies that the upstream sets, so that its answers can be cached: an answer that sets a cookie is never shared. `cookie` cannot be forwarded then.',
  },
  fresh: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: "How long an answer without freshness information is served without a call. It never overrides the upstream's headers. Without it RFC 9111 decides: usually not at all.",
  },
  stale: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond its freshness an answer may be served while the upstream fails, unless the answer forbids it. With freshness from `fresh`, also while it is refetched.',
  },
  maxCached: {
    kind: 'bytes',
    default: '1mb',
    min: 1,
    help: 'Maximum size of a cached answer. Larger answers are streamed to their client. A stream holds its connection and its place in the budget until its end, at most for the `timeout` of the upstream.',
  },
  maxBody: { kind: 'bytes', default: '1mb', min: 0, help: 'Maximum size of a request body.' },
  deadline: { kind: 'duration', default: '10s', min: 1, help: 'Maximum time that a client waits.' },
  cost: { kind: 'integer', default: 1, min: 1, help: 'Cost of a call, for limits by `cost`.' },
  lane: {
    kind: 'text',
    optional: true,
    help: 'A group of calls that the upstream limits separately, for limits by `lane`.',
  },
  reload: {
    kind: 'boolean',
    default: false,
    help: "Whether a client's `Cache-Control: no-cache`, `max-age` or `min-fresh` causes a call to the upstream. These directives are advice (RFC 9111, 5.2.1), and otherwise every browser reload would cost a call.",
  },
  failed: {
    kind: 'any',
    optional: true,
    help: '`(answer) => boolean`: whether a successful status hides a failure, such as a 200 with an error body. It is not cached, does not count as a success, and a cached answer may be served instead.',
  },
} as const satisfies OptionTable

/** The options of `rpc()`. */
export const RPC_OPTIONS = {
  name: {
    kind: 'text',
    optional: true,
    help: 'The name of the route in metrics, where each method is `NAME.METHOD`; by default its address.',
  },
  to: { kind: 'any', help: 'The upstream: `jsonRpc(…)`, or `anyOf` several.' },
  methods: {
    kind: 'any',
    help: "Allowed methods, with the freshness of their results: `{ getSlot: { fresh: '400ms' } }`. All others are refused. Methods that change something cannot be listed.",
  },
  maxCalls: { kind: 'integer', default: 100, min: 1, max: 1000, help: 'Maximum calls per batch.' },
  maxBody: { kind: 'bytes', default: '100kb', min: 1, help: 'Maximum size of a request body.' },
  deadline: FEED_OPTIONS.deadline,
} as const satisfies OptionTable

/** The options of each method in `methods` of `rpc()`. */
export const RPC_METHOD_OPTIONS = {
  fresh: { kind: 'duration', default: '1s', min: 0, help: 'How long a result is served without a call.' },
  stale: {
    ...FEED_OPTIONS.stale,
    default: '0s',
    help: 'How long beyond `fresh` a result may be served while it is refetched, also `null` and refusals.',
  },
  staleIfError: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond `fresh` a result may be served while the node fails.',
  },
  missing: {
    kind: 'duration',
    default: '1s',
    min: 0,
    help: 'How long `null`, or a refusal by the node, is served.',
  },
  cost: PROXY_OPTIONS.cost,
} as const satisfies OptionTable

/** The options of `defineApp()`. */
export const APP_OPTIONS = {
  name: { kind: 'text', help: 'The name of the app in metrics, in the terminal and in errors.' },
  use: { kind: 'any', help: 'Its feeds, logs, streams, proxies, JSON-RPC routes and sockets.' },
  identify: {
    kind: 'any',
    optional: true,
    help: '`(call) => { tenant, user, expires }`: the caller, for feeds and logs with a scope; undefined if unknown. A live connection ends at `expires`, a Date or milliseconds since 1970.',
  },
  cors: {
    kind: 'texts',
    default: '',
    help: "Origins whose pages may call the app and open WebSockets, such as `https://shop.example`; `*` for all. The app's own pages always may. Only listed origins may send cookies.",
  },
  graphql: {
    kind: 'any',
    optional: true,
    help: '`true`, or the options below. Also serves the feeds and logs at `/graphql`.',
  },
  routes: {
    kind: 'any',
    optional: true,
    help: 'A Hono app, or anything with a Web-standard `fetch(request)`, for all other routes.',
  },
  page: { kind: 'any', optional: true, help: 'Folder of the built page, as a file: URL.' },
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

/** The options of `createBudget()`. */
export const BUDGET_OPTIONS = {
  name: { kind: 'text', default: 'budget', help: 'The name in errors and events.' },
  limits: { kind: 'any', help: 'Rate limits, as for `http()`.' },
  keys: { kind: 'integer', default: 1, min: 1, max: 10_000, help: 'Number of API keys over which calls are spread.' },
  reserve: HTTP_OPTIONS.reserve,
  pastUsage: HTTP_OPTIONS.pastUsage,
  pace: HTTP_OPTIONS.pace,
  concurrency: { ...HTTP_OPTIONS.concurrency, default: 1000, help: 'Concurrent calls.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createFlight()`. */
export const FLIGHT_OPTIONS = {
  name: { kind: 'text', default: 'flight', help: 'The name in errors and events.' },
  load: { kind: 'any', help: '`(key, signal) => value`: makes the call, once for all waiters.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createCache()`. */
export const CACHE_OPTIONS = {
  name: { kind: 'text', default: 'cache', help: 'The name in errors and events.' },
  load: { kind: 'any', help: '`(key, signal) => value`: loads a missing value, once for all waiters.' },
  fresh: FEED_OPTIONS.fresh,
  stale: FEED_OPTIONS.stale,
  deadline: FEED_OPTIONS.deadline,
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'Maximum memory for cached values.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createHub()`. */
export const HUB_OPTIONS = {
  heartbeat: {
    kind: 'duration',
    default: '10s',
    min: 10,
    help: 'Maximum silence of a live connection; a heartbeat is sent before.',
  },
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'Maximum memory for the latest values.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** The options of `createGateway()`. */
export const GATEWAY_OPTIONS = {
  apps: { kind: 'any', help: 'The apps to serve, each on its own site.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
  heartbeat: {
    kind: 'duration',
    default: '10s',
    min: 10,
    help: 'Maximum silence of a live connection; a heartbeat is sent before.',
  },
  memory: {
    kind: 'bytes',
    default: '256mb',
    min: 1024,
    help: 'Maximum memory for cached values. Histories of logs may take the same amount again.',
  },
  redis: {
    kind: 'text',
    optional: true,
    help: '`redis://user:password@host:port/db`, or `rediss://…` for TLS: shared by nodes. One server, or a Redis Cluster, of which several servers may be listed with commas. Without it this process shares nothing. The command also reads `REDIS_URL`.',
  },
  redisCa: {
    kind: 'text',
    optional: true,
    help: 'File with the certificates (PEM) of the authorities trusted for `rediss://…`; by default those of Node.',
  },
  origin: {
    kind: 'texts',
    optional: true,
    help: 'Base URLs at which another gateway serves the same apps, one per app in the same order. Feeds and logs follow it, proxies go through it, and no other upstream is called. The command also reads `WEIR_ORIGIN`.',
  },
  prefix: { kind: 'text', default: 'weir', help: 'Prefix of all keys in Redis. Nodes with the same prefix share.' },
  worker: {
    kind: 'any',
    optional: true,
    help: 'Set by `weir start --workers`: the connection to the other processes that serve the same apps.',
  },
  connections: { kind: 'integer', default: 100_000, min: 1, help: 'Maximum live connections of this process.' },
  eventDeflate: {
    kind: 'boolean',
    default: true,
    help: 'Whether streams of large events (SSE) are compressed, for clients that accept it.',
  },
  socketTopics: { kind: 'integer', default: 500, min: 1, help: 'Maximum topics per WebSocket.' },
  socketMessage: {
    kind: 'bytes',
    default: '16kb',
    min: 128,
    max: 2 ** 30,
    help: "Maximum size of a client's WebSocket message.",
  },
  socketRate: {
    kind: 'integer',
    default: 50,
    min: 1,
    help: 'Messages per second that a client may send on a WebSocket, including pings.',
  },
  socketBurst: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'Messages that a client may send at once on a WebSocket.',
  },
  socketDeflate: {
    kind: 'boolean',
    default: true,
    help: 'Whether large WebSocket messages are compressed, for clients that accept it.',
  },
} as const satisfies OptionTable

/** The options of `weir start`, besides those of the gateway. */
export const START_OPTIONS = {
  workers: {
    kind: 'text',
    optional: true,
    help: 'Number of processes that serve the apps, or `max` for one per processor. They share values, limits and quotas, and one that dies is replaced. Without it, a single process serves. The command also reads `WEIR_WORKERS`.',
  },
  'worker-memory': {
    kind: 'bytes',
    optional: true,
    min: 1024,
    help: "Resident memory at which a worker is replaced; by default 80 % of the machine's memory, divided among all workers.",
  },
} as const satisfies OptionTable

/**
 * Reads options by their table: fills in defaults, converts durations to milliseconds and sizes to bytes, and refuses
 * unknown names with a suggestion.
 *
 * @param where the declaration, for messages, such as `http "jupiter"`
 * @throws ConfigError with the option, the expected and the given value
 */
export function readOptions<const Table extends OptionTable>(
  where: string,
  table: Table,
  given: unknown,
): OptionsOf<Table> {
  if (!isRecord(given)) throw new ConfigError(where, 'options', 'an object', given)
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) {
      throw new ConfigError(where, name, knownOr('option', name, Object.keys(table)), name)
    }
  }
  const read: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(table)) {
    const value = given[name] ?? option.default
    if (value === undefined) {
      if (option.optional !== true) throw new ConfigError(where, name, describe(option), undefined)
      read[name] = undefined
    } else {
      read[name] = readOption(where, name, option, value)
    }
  }
  return Object.freeze(read) as OptionsOf<Table>
}

/**
 * Parses a duration to milliseconds.
 *
 * @throws ConfigError for anything but a number with one of the units ms, s, m, h, d
 */
export function milliseconds(where: string, key: string, value: unknown): number {
  return withUnit(where, key, value, MILLISECONDS, "a duration such as '100ms', '1s' or '5m'")
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

function readOption(where: string, key: string, option: Option, value: unknown): unknown {
  switch (option.kind) {
    case 'duration':
      return inRange(where, key, option, value, milliseconds(where, key, value))
    case 'bytes':
      return inRange(where, key, option, value, withUnit(where, key, value, BYTES, "a size such as '64kb' or '16mb'"))
    case 'integer':
      if (!Number.isSafeInteger(value)) throw new ConfigError(where, key, describe(option), value)
      return inRange(where, key, option, value, value as number)
    case 'boolean':
      if (typeof value !== 'boolean') throw new ConfigError(where, key, describe(option), value)
      return value
    case 'text':
      if (typeof value !== 'string' || value === '') throw new ConfigError(where, key, describe(option), value)
      return value
    case 'url':
      // Text that is not an address may be a key, or contain one.
      if (typeof value !== 'string' || !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
        throw new ConfigError(where, key, describe(option), withoutSecrets(value))
      }
      return value
    case 'texts': {
      const texts = typeof value === 'string' ? value.split(',') : value
      // API keys are given as lists, so the elements are not shown.
      if (!Array.isArray(texts)) throw new ConfigError(where, key, describe(option), typeof value)
      if (!texts.every((text) => typeof text === 'string'))
        throw new ConfigError(where, key, describe(option), 'a list with other types')
      return texts.map((text: string) => text.trim()).filter((text) => text !== '')
    }
    case 'any':
      return value
  }
}

function inRange(where: string, key: string, option: Option, given: unknown, value: number): number {
  if (value < (option.min ?? 0) || value > (option.max ?? Number.POSITIVE_INFINITY)) {
    throw new ConfigError(where, key, describe(option), given)
  }
  return value
}

function withUnit(
  where: string,
  key: string,
  value: unknown,
  units: Readonly<Record<string, number>>,
  expected: string,
): number {
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(value) : null
  const name = match?.[2] ?? ''
  const unit = Object.hasOwn(units, name) ? units[name] : undefined
  if (match === null || unit === undefined) throw new ConfigError(where, key, expected, value)
  // Fractions of a byte or a millisecond have no meaning here.
  return Math.round(Number(match[1]) * unit)
}

const KINDS: Readonly<Record<Kind, string>> = {
  duration: "a duration such as '1s'",
  bytes: "a size such as '16mb'",
  integer: 'a whole number',
  boolean: 'true or false',
  text: 'a string',
  url: 'a URL that begins with http:// or https://',
  texts: 'a list of strings',
  any: 'a value',
}

/** Describes the type and range of an option, for messages and for the reference. */
export function describe(option: Option): string {
  const unit = option.kind === 'duration' ? ' ms' : option.kind === 'bytes' ? ' bytes' : ''
  const least = option.min ? `, at least ${option.min.toLocaleString('en')}${unit}` : ''
  const most = option.max === undefined ? '' : `, at most ${option.max.toLocaleString('en')}${unit}`
  return `${KINDS[option.kind]}${least}${most}`
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Describes the expected name: the similar known name, or all known names. */
export function knownOr(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? `one of ${known.join(', ')}` : `a known ${what} (did you mean "${near}"?)`
}

/** The known name with an edit distance of at most two, if there is one. */
function nearest(name: string, known: readonly string[]): string | undefined {
  return known
    .map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate
}

/** The Levenshtein distance, computed row by row. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      )
    }
    row = next
  }
  return row[b.length] ?? 0
}
