import { ConfigError, withoutSecrets } from './errors.ts'

/** A length of time with its unit: `'100ms'`, `'1s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** An amount of memory with its unit: `'64kb'`, `'16mb'`, `'1gb'` (1 kb is 1,024 bytes). */
export type Bytes = `${number}${'b' | 'kb' | 'mb' | 'gb'}`

/** What an option takes, and what the reader makes of it. */
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

/** One row of a table of options; `docs/OPTIONS.md` is made from these. */
interface Option {
  readonly kind: Kind
  /** What holds when nothing is given, written as one would give it. Without it the option is required, unless optional. */
  readonly default?: string | number | boolean
  readonly optional?: true
  readonly min?: number
  readonly max?: number
  readonly help: string
}

export type OptionTable = Readonly<Record<string, Option>>

/** What the reader makes of a table: numbers for durations (ms) and bytes, undefined where an optional was not given. */
export type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { optional: true }
    ? Compiled[Table[Name]['kind']] | undefined
    : Compiled[Table[Name]['kind']]
}

/** What `http()` takes. */
export const HTTP_OPTIONS = {
  name: { kind: 'text', help: 'The upstream in metrics, errors and budgets. Apps that use one name share one budget.' },
  url: { kind: 'url', help: 'Where it is; paths of calls are added to it.' },
  keys: { kind: 'texts', optional: true, help: 'API keys: a list, or one text with commas between them.' },
  auth: {
    kind: 'any',
    optional: true,
    help: "Where a key goes: `{ header: 'x-api-key' }` (`prefix` before it), or `{ query: 'apikey' }`. By default `authorization: Bearer KEY`.",
  },
  limits: {
    kind: 'any',
    optional: true,
    help: "What the upstream allows: `[{ calls: 50, per: '1s', by: 'account' }]`. By account, or by each key.",
  },
  reserve: {
    kind: 'integer',
    default: 0,
    min: 0,
    help: 'Calls of each limit left to others who use the same account.',
  },
  pastUsage: {
    kind: 'text',
    default: 'unknown',
    help: '`unknown`: the budget stays shut for one window at start, since calls may have been made before. `none`: nobody made any.',
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
    help: 'How often a call that failed may be tried again, inside its deadline and a tenth of the traffic.',
  },
  concurrency: {
    kind: 'integer',
    default: 10,
    min: 1,
    max: 10_000,
    help: 'Connections to it, and calls under way at once.',
  },
  timeout: {
    kind: 'duration',
    default: '10s',
    min: 1,
    help: 'The longest a call may take, from its start to the last byte.',
  },
  connectionAge: {
    kind: 'duration',
    default: '5m',
    min: 1000,
    help: 'How old a connection gets before a new one takes its place, so that an upstream that moves is followed.',
  },
  connectTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'The longest a connection may take to be made; by default as `timeout`.',
  },
  headersTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'The longest its headers may take; by default as `timeout`.',
  },
  bodyTimeout: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'The longest silence inside an answer; by default as `timeout`.',
  },
  liveShare: {
    kind: 'integer',
    default: 80,
    min: 1,
    max: 100,
    help: 'Percent of the limits that watched values may take; when they want more, they are asked for less often.',
  },
  conditional: {
    kind: 'boolean',
    default: true,
    help: 'Asks with `If-None-Match` for what it answered with an `ETag` before.',
  },
  statusOf: {
    kind: 'any',
    optional: true,
    help: '`(answer) => status`: the status that an answer of 200 should have had, where the upstream says in its body that it refuses.',
  },
  stall: {
    kind: 'duration',
    default: '2s',
    min: 0,
    help: 'The longest that the network may hold a call up. One that is given up sooner may still arrive, and is counted until then.',
  },
  lag: {
    kind: 'any',
    optional: true,
    help: '`(answer) => milliseconds`: how old what it answered is, for `anyOf` by score; by default its `Age` header.',
  },
  maxResponse: { kind: 'bytes', default: '16mb', min: 1, help: 'The largest answer that is taken.' },
  headers: { kind: 'any', optional: true, help: 'Headers sent with every call.' },
} as const satisfies OptionTable

const { conditional: _conditional, statusOf: _statusOf, ...ASKED } = HTTP_OPTIONS

/** What `jsonRpc()` takes. */
export const JSON_RPC_OPTIONS = {
  ...ASKED,
  url: {
    kind: 'url',
    help: 'Where it is. A query in it, such as `?api-key=…`, is sent with each call and told to nobody.',
  },
  timeout: { ...HTTP_OPTIONS.timeout, default: '30s' },
  limits: { ...HTTP_OPTIONS.limits, help: `${HTTP_OPTIONS.limits.help} By default 100 calls a second.` },
  batch: {
    kind: 'integer',
    default: 1,
    min: 1,
    max: 1000,
    help: 'Calls that start in one instant are sent as one JSON-RPC array of at most so many; each is charged by itself. Where the provider refuses that, each goes alone from then on. Not more than `concurrency` start at once.',
  },
} as const satisfies OptionTable

/** What `weir()` takes. */
export const WEIR_OPTIONS = {
  name: {
    kind: 'text',
    default: 'origin',
    help: 'The origin in metrics and errors. Two origins need two names.',
  },
  url: { kind: 'url', help: 'Where the origin serves the same app.' },
  headers: { kind: 'any', optional: true, help: 'Headers sent with every call and handshake.' },
  silenceTimeout: {
    kind: 'duration',
    default: '5s',
    min: 10,
    help: 'A connection that is silent for longer is given up; after half of it, it is pinged.',
  },
  maxTopics: {
    kind: 'integer',
    default: 500,
    min: 1,
    help: "The most topics of one connection, as the origin's `socketTopics`. Beyond that another is opened.",
  },
  timeout: { kind: 'duration', default: '5s', min: 1, help: 'The longest that a call may take.' },
} as const satisfies OptionTable

/** What `anyOf()` takes beside the upstreams. */
export const ANY_OF_OPTIONS = {
  choose: {
    kind: 'text',
    default: 'order',
    help: '`order`: as they are named. `score`: the one that did best of late, by answer time and errors.',
  },
  hedge: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'After so long without an answer a second one is asked beside the first.',
  },
  maxLag: {
    kind: 'integer',
    default: 50,
    min: 0,
    help: 'Who is further behind the best of them, in slots, is asked only when no other answers. Answers of `jsonRpc()` that have a `context.slot` tell how far a node is.',
  },
  retries: { kind: 'integer', default: 2, min: 0, max: 10, help: 'How often all of them may be tried again.' },
} as const satisfies OptionTable

/** What `feed()` takes. */
export const FEED_OPTIONS = {
  name: { kind: 'text', help: 'The feed in metrics and in GraphQL.' },
  key: { kind: 'any', help: 'A schema for each part of the key. Parts that are not in the path are query parameters.' },
  maxKeyLength: {
    kind: 'integer',
    default: 512,
    min: 1,
    max: 32_768,
    help: 'The longest text of one part of a key, in characters.',
  },
  value: { kind: 'any', help: 'The schema of the value.' },
  from: {
    kind: 'any',
    optional: true,
    help: 'The upstream; none where the loader needs none, as for a value made of other feeds.',
  },
  load: {
    kind: 'any',
    optional: true,
    help: 'How to get values: `{ one }` for one key a call, or `{ many, batch, within }` for several. Of an origin, `weir(…)`, it is known.',
  },
  scope: {
    kind: 'text',
    default: 'public',
    help: "Who shares a value: `public`, `tenant` or `user`; the app's `identify` says who calls.",
  },
  fresh: { kind: 'duration', default: '1s', min: 0, help: 'How long a value is served without asking again.' },
  stale: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond that it may still be served, while it is fetched anew.',
  },
  staleIfError: {
    kind: 'duration',
    optional: true,
    min: 0,
    help: 'How long beyond `fresh` it may be served while the upstream fails; as `stale` by default.',
  },
  mustRevalidate: {
    kind: 'boolean',
    default: false,
    help: 'A value is never served beyond `fresh`: then there is an answer of the upstream or an error.',
  },
  spread: {
    kind: 'integer',
    default: 10,
    min: 0,
    max: 50,
    help: "Percent of `fresh` by which it is shortened at random, so that keys that came together don't expire together.",
  },
  order: {
    kind: 'any',
    optional: true,
    help: '`(value) => number`: where a value stands in an order of the upstream, such as its slot. What is lower than what is kept is not taken, whether it was asked for or pushed.',
  },
  asOf: {
    kind: 'any',
    optional: true,
    help: '`(value) => Date | number | string`: of what moment the value is, where it says so; its age and freshness are counted from there.',
  },
  tags: {
    kind: 'any',
    optional: true,
    help: '`(value, key) => texts`: names by which `dropTagged()` finds it.',
  },
  prewarm: {
    kind: 'any',
    optional: true,
    help: 'Keys that are asked for at start, before anybody does: a list, or the file: URL of a JSON list.',
  },
  essential: {
    kind: 'boolean',
    default: true,
    help: 'Without it the feed rests while the gateway is `strained`: it serves what it has and asks for nothing.',
  },
  deadline: { kind: 'duration', default: '10s', min: 1, help: 'The longest a client waits for a value.' },
  cdn: {
    kind: 'duration',
    optional: true,
    min: 0,
    help: 'How long edges may keep it (`CDN-Cache-Control`), where that is not as long as browsers.',
  },
  live: { kind: 'any', optional: true, help: "Keeps watched values moving: `{ every: '1s', linger: '30s' }`." },
} as const satisfies OptionTable

/** What `createBatch()` takes. */
export const BATCH_OPTIONS = {
  many: {
    kind: 'any',
    help: '`(keys, call) => results`: one result for each key, in their order: a value, `absent(…)` or an Error.',
  },
  batch: { kind: 'integer', default: 50, min: 1, max: 100_000, help: 'The most keys in one call.' },
  within: { kind: 'duration', default: '10ms', min: 0, help: 'How long the first key waits for others.' },
} as const satisfies OptionTable

/** `load` of a feed that asks for several keys in one call. */
export const LOAD_OPTIONS = {
  ...BATCH_OPTIONS,
  bytes: {
    kind: 'bytes',
    optional: true,
    min: 1,
    help: 'The most text of keys in one call, where an address must stay short.',
  },
  keyOf: {
    kind: 'any',
    optional: true,
    help: '`(value) => key`: then `many` returns values in any order, each is matched by its key, and what is missing is absent.',
  },
  missing: {
    kind: 'duration',
    default: '10s',
    min: 0,
    help: 'With `keyOf`: how long a missing value is believed to be absent.',
  },
} as const satisfies OptionTable

/** `live` of a feed. */
const MOVING_OPTIONS = {
  every: { kind: 'duration', default: '1s', min: 1, help: 'How often a watched value is asked for.' },
  linger: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long a value is kept moving after the last watcher left.',
  },
  maxInterval: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'When the budget is too small for all, those that few watch or that seldom change are asked for less often, but no less than this.',
  },
} as const satisfies OptionTable

/** `live` of a feed. */
export const LIVE_OPTIONS = {
  ...MOVING_OPTIONS,
  dependsOn: {
    kind: 'any',
    optional: true,
    help: '`(key) => [at(feed, key), …]`: the values that it is made of. It is made anew when one of them changes, as old as the oldest and stale when one of them is.',
  },
  within: {
    kind: 'duration',
    default: '0ms',
    min: 0,
    help: 'With `dependsOn`: how long it waits after a change for others that belong to it, so that all are told at once.',
  },
  revalidateEvery: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'With `dependsOn`: how often it is made anew although nothing changed.',
  },
} as const satisfies OptionTable

/** What `push()` takes. */
export const PUSH_OPTIONS = {
  url: { kind: 'any', help: 'Its WebSocket, `ws:` or `wss:`; a function is asked before each connection.' },
  headers: { kind: 'any', optional: true, help: 'Headers of the handshake.' },
  greet: { kind: 'any', optional: true, help: '`() => messages`: what is said first on each connection.' },
  subscribe: { kind: 'any', help: '`(key, id) => message`: asks for a key; `id` is another for each subscription.' },
  unsubscribe: { kind: 'any', optional: true, help: '`(key, id, token) => message`: ends that.' },
  shared: {
    kind: 'any',
    optional: true,
    help: '`(key) => text`: keys for which it is the same have one subscription together.',
  },
  read: {
    kind: 'any',
    help: '`(message) => news`: `{ key, value }`, `{ key }` when it changed, the same with `token`, `{ accepted, token }` or `{ refused, reason }`. A `value` that is a function is called only for keys that are watched.',
  },
  acknowledges: {
    kind: 'boolean',
    default: false,
    help: 'Whether the upstream says that a subscription is accepted; else it counts as made when it is sent.',
  },
  revalidateEvery: {
    kind: 'duration',
    default: '30s',
    min: 1,
    help: 'How often a value is asked for although it is pushed, in case something was lost.',
  },
  silenceTimeout: {
    kind: 'duration',
    default: '20s',
    min: 10,
    help: 'A connection that is silent for longer is given up; after half of it, it is pinged.',
  },
  maxSubscriptions: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'The most subscriptions; keys beyond that are polled.',
  },
  messageRate: { kind: 'integer', default: 100, min: 1, help: 'The most messages a second that we send.' },
  ...MOVING_OPTIONS,
} as const satisfies OptionTable

const { url, headers, revalidateEvery, silenceTimeout, maxSubscriptions, messageRate } = PUSH_OPTIONS

/** What `jsonRpcPush()` takes. */
export const JSON_RPC_PUSH_OPTIONS = {
  ...{ url, headers },
  subscribe: {
    kind: 'any',
    help: '`(key) => [method, params]`: asks for a key. Keys for which it is the same have one subscription together.',
  },
  unsubscribe: { kind: 'text', help: 'The method that ends a subscription, such as `accountUnsubscribe`.' },
  keyOf: {
    kind: 'any',
    optional: true,
    help: '`(result) => key`: of which key a notification tells; undefined for none. By default of all keys of its subscription.',
  },
  value: {
    kind: 'any',
    optional: true,
    help: '`(result, key) => value`: what a notification says of a key; undefined when it only says that it changed. By default it is asked for.',
  },
  ...{ revalidateEvery, silenceTimeout, maxSubscriptions, messageRate, ...MOVING_OPTIONS },
} as const satisfies OptionTable

/** What `log()` takes. */
export const LOG_OPTIONS = {
  name: { kind: 'text', help: 'The log in metrics and in GraphQL.' },
  key: FEED_OPTIONS.key,
  event: { kind: 'any', help: 'The schema of an event.' },
  from: {
    kind: 'any',
    optional: true,
    help: 'An origin, `weir(…)`, whose log of the same address it follows; then events are published there.',
  },
  scope: {
    ...FEED_OPTIONS.scope,
    help: "Who shares its events: `public`, `tenant` or `user`; the app's `identify` says who calls.",
  },
  dependsOn: {
    kind: 'any',
    optional: true,
    help: '`(key) => at(feed, key)`: the value whose loader publishes what is new. It is watched with the log, and read before it.',
  },
  history: { kind: 'any', optional: true, help: "What of the past is kept: `{ events: 1000, age: '1h' }`." },
  mayPublish: {
    kind: 'any',
    optional: true,
    help: 'Which clients may publish: `true` for all, or `({ key, identity }) => boolean`; none by default.',
  },
} as const satisfies OptionTable

/** `history` of a log. */
export const HISTORY_OPTIONS = {
  events: { kind: 'integer', default: 1000, min: 1, max: 100_000, help: 'The most events that are kept of each key.' },
  age: { kind: 'duration', default: '1h', min: 1, help: 'How long an event is kept.' },
} as const satisfies OptionTable

/** One row of `limits` of an upstream. */
export const LIMIT_OPTIONS = {
  calls: { kind: 'integer', optional: true, min: 1, help: 'How many calls fit in the window.' },
  cost: { kind: 'integer', optional: true, min: 1, help: 'Instead of `calls`: how much cost fits, such as tokens.' },
  per: { kind: 'duration', min: 1, help: 'The window; it slides.' },
  by: { kind: 'text', default: 'account', help: '`account`: all keys share it. `key`: each key has its own.' },
  lane: {
    kind: 'text',
    optional: true,
    help: 'Only calls of this lane, such as a method; `*`: those of each lane apart.',
  },
} as const satisfies OptionTable

/** What `stream()` takes. */
export const STREAM_OPTIONS = {
  of: { kind: 'any', help: 'The feed.' },
  choose: {
    kind: 'any',
    optional: true,
    help: "How a client names keys: `{ query: 'mints', part: 'mint' }` takes `?mints=a,b`. Without it in a request, the stream follows all that is watched.",
  },
  always: { kind: 'any', optional: true, help: 'Keys that a stream of everything keeps watched.' },
  maxKeys: { kind: 'integer', default: 500, min: 1, max: 10_000, help: 'The most keys a client may choose.' },
} as const satisfies OptionTable

/** What `socket()` takes. */
export const SOCKET_OPTIONS = {
  name: { kind: 'text', help: 'The socket in metrics and in errors.' },
  follow: {
    kind: 'any',
    optional: true,
    help: 'What each client is told at once and at each change: a list of `follow()`.',
  },
  receive: {
    kind: 'any',
    optional: true,
    help: '`(message, client) => …`: what is done with a message, read as JSON.',
  },
} as const satisfies OptionTable

/** What `proxy()` takes. */
export const PROXY_OPTIONS = {
  to: { kind: 'any', help: 'The upstream.' },
  name: { kind: 'text', optional: true, help: 'The proxy in metrics; its address by default.' },
  methods: {
    kind: 'texts',
    default: 'GET,HEAD',
    help: 'Methods that pass; others are refused with 405. HEAD goes with GET.',
  },
  paths: {
    kind: 'texts',
    default: '/*',
    help: "Paths that pass, as the upstream has them: `'/price/v3'`, `'/tokens/:id'`, `'/swap/*'` for all below. Others are 404.",
  },
  forward: {
    kind: 'texts',
    optional: true,
    help: "Request headers that pass, beside those that say what form the answer should have. Cookies and `Authorization` do not by themselves: the upstream's keys are ours. `x-forwarded-for` and `forwarded` are sent, with the client's address, when they are named. Requests that differ in others that are named do not share a call.",
  },
  cdn: {
    kind: 'duration',
    optional: true,
    min: 1000,
    help: 'How long edges may keep an answer that may be shared: `CDN-Cache-Control` (RFC 9213).',
  },
  cdnPaths: {
    kind: 'texts',
    default: '/*',
    help: 'Paths to which `cdn` applies, written as `paths`. What must not be old at edges, such as a quote, is left out.',
  },
  dropCookies: {
    kind: 'boolean',
    default: false,
    help: 'Whether cookies that the upstream sets are dropped, so that its answers can be kept: an answer that sets one is never shared otherwise. `cookie` can not be forwarded then.',
  },
  fresh: {
    kind: 'duration',
    optional: true,
    min: 1,
    help: 'How long an answer is served without asking again when the upstream says nothing of that. It never overrides what the upstream says; without it the RFC decides: mostly, not at all.',
  },
  stale: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond its freshness an answer may be served while the upstream fails, unless it forbids that; with `fresh` as its freshness, also while it is asked for anew.',
  },
  maxCached: {
    kind: 'bytes',
    default: '1mb',
    min: 1,
    help: 'The largest answer that is kept; larger ones are streamed to their client. A stream holds its connection and its place in the budget until its end, and ends with the `timeout` of the upstream.',
  },
  maxBody: { kind: 'bytes', default: '1mb', min: 0, help: 'The largest body of a request.' },
  deadline: { kind: 'duration', default: '10s', min: 1, help: 'The longest a client waits.' },
  cost: { kind: 'integer', default: 1, min: 1, help: 'What a call costs, for limits by `cost`.' },
  lane: { kind: 'text', optional: true, help: 'What the upstream counts apart, for limits by `lane`.' },
  reload: {
    kind: 'boolean',
    default: false,
    help: "Whether a client's `Cache-Control: no-cache`, `max-age` or `min-fresh` makes a call to the upstream. Such words are advice (RFC 9111, 5.2.1), and everybody's reload would cost a call.",
  },
  failed: {
    kind: 'any',
    optional: true,
    help: '`(answer) => boolean`: whether an answer of success is none in truth, such as a 200 that carries an error. It is not kept, does not count as good, and one that is kept may be served in its place.',
  },
} as const satisfies OptionTable

/** What `rpc()` takes. */
export const RPC_OPTIONS = {
  name: {
    kind: 'text',
    optional: true,
    help: 'The route in metrics, where each method is `NAME.METHOD`; its address by default.',
  },
  to: { kind: 'any', help: 'The upstream: `jsonRpc(…)`, or `anyOf` several.' },
  methods: {
    kind: 'any',
    help: "The methods that may be called, and how long their results are good: `{ getSlot: { fresh: '400ms' } }`. All others are refused; those that change something may not be named.",
  },
  maxCalls: { kind: 'integer', default: 100, min: 1, max: 1000, help: 'The most calls of one array.' },
  maxBody: { kind: 'bytes', default: '100kb', min: 1, help: 'The largest body of a request.' },
  deadline: FEED_OPTIONS.deadline,
} as const satisfies OptionTable

/** `methods` of `rpc()`: each. */
export const RPC_METHOD_OPTIONS = {
  fresh: { kind: 'duration', default: '1s', min: 0, help: 'How long a result is served without asking again.' },
  stale: {
    ...FEED_OPTIONS.stale,
    default: '0s',
    help: 'How long beyond that it may still be served, `null` and refusals too, while it is asked for anew.',
  },
  staleIfError: {
    kind: 'duration',
    default: '30s',
    min: 0,
    help: 'How long beyond `fresh` it may be served while the node fails.',
  },
  missing: {
    kind: 'duration',
    default: '1s',
    min: 0,
    help: 'How long `null`, or that the node refuses such a call, is believed.',
  },
  cost: PROXY_OPTIONS.cost,
} as const satisfies OptionTable

/** What `defineApp()` takes. */
export const APP_OPTIONS = {
  name: { kind: 'text', help: 'The app in metrics, in the terminal and in errors.' },
  use: { kind: 'any', help: 'Its feeds, logs, streams, proxies, JSON-RPC routes and sockets.' },
  identify: {
    kind: 'any',
    optional: true,
    help: '`(call) => { tenant, user, expires }`: the caller, for feeds and logs with a scope; undefined where the caller is not known. A live connection ends at `expires`, a Date or milliseconds since 1970.',
  },
  cors: {
    kind: 'texts',
    default: '',
    help: 'Other sites whose pages may ask here and open a WebSocket, such as `https://shop.example`; `*` for all. Its own pages always may. Cookies are taken of none but those.',
  },
  graphql: {
    kind: 'any',
    optional: true,
    help: '`true`, or the options below: serves the feeds and logs at `/graphql` too.',
  },
  routes: {
    kind: 'any',
    optional: true,
    help: 'A Hono app, or anything with a Web-standard `fetch(request)`, for its other routes.',
  },
  page: { kind: 'any', optional: true, help: 'The folder of its built page, as a file: URL.' },
} as const satisfies OptionTable

/** `graphql` of an app. */
export const GRAPHQL_OPTIONS = {
  introspection: {
    kind: 'boolean',
    default: false,
    help: 'Whether clients may ask for the schema. GraphiQL does, so it brings this.',
  },
  graphiql: {
    kind: 'boolean',
    optional: true,
    help: 'Serves the GraphiQL page to browsers. By default where `NODE_ENV` is `development`.',
  },
  maxDepth: { kind: 'integer', default: 10, min: 1, max: 100, help: 'How deep fields may lie inside fields.' },
  maxCost: {
    kind: 'integer',
    default: 1000,
    min: 1,
    help: 'What a document may cost: a field of a feed or a log counts ten, each field inside it one, a page of a log ten times that.',
  },
  maxAliases: { kind: 'integer', default: 100, min: 0, help: 'How many aliases a document may have.' },
  maxBody: { kind: 'bytes', default: '100kb', min: 1, help: 'The largest body of a request.' },
} as const satisfies OptionTable

/** What `createBudget()` takes. */
export const BUDGET_OPTIONS = {
  name: { kind: 'text', default: 'budget', help: 'What it is called in errors and events.' },
  limits: { kind: 'any', help: 'What is allowed, as for `http()`.' },
  keys: { kind: 'integer', default: 1, min: 1, max: 10_000, help: 'API keys to spread calls over.' },
  reserve: HTTP_OPTIONS.reserve,
  pastUsage: HTTP_OPTIONS.pastUsage,
  pace: HTTP_OPTIONS.pace,
  concurrency: { ...HTTP_OPTIONS.concurrency, default: 1000, help: 'Calls under way at once.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** What `createFlight()` takes. */
export const FLIGHT_OPTIONS = {
  name: { kind: 'text', default: 'flight', help: 'What it is called in errors and events.' },
  load: { kind: 'any', help: '`(key, signal) => value`: makes the call; once for all who wait.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** What `createCache()` takes. */
export const CACHE_OPTIONS = {
  name: { kind: 'text', default: 'cache', help: 'What it is called in errors and events.' },
  load: { kind: 'any', help: '`(key, signal) => value`: gets what is not there; called once for all who wait.' },
  fresh: FEED_OPTIONS.fresh,
  stale: FEED_OPTIONS.stale,
  deadline: FEED_OPTIONS.deadline,
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'The most memory that kept values take.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** What `createHub()` takes. */
export const HUB_OPTIONS = {
  heartbeat: { kind: 'duration', default: '10s', min: 10, help: 'A live connection is never silent for longer.' },
  memory: { kind: 'bytes', default: '64mb', min: 1024, help: 'The most memory that the latest values take.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
} as const satisfies OptionTable

/** What `createGateway()` takes. */
export const GATEWAY_OPTIONS = {
  apps: { kind: 'any', help: 'The apps to serve, each its own site.' },
  clock: { kind: 'any', optional: true, help: 'The clock; the system clock by default.' },
  observe: { kind: 'any', optional: true, help: 'Called with every event.' },
  heartbeat: { kind: 'duration', default: '10s', min: 10, help: 'A live connection is never silent for longer.' },
  memory: {
    kind: 'bytes',
    default: '256mb',
    min: 1024,
    help: 'Memory limit for cached values. Histories of logs may take as much again.',
  },
  redis: {
    kind: 'text',
    optional: true,
    help: 'The Redis that nodes share: `redis://user:password@host:port/db`, or `rediss://…` for TLS. Separate several servers of a Redis Cluster with commas. Without it, nodes share nothing. The command also reads `REDIS_URL`.',
  },
  redisCa: {
    kind: 'text',
    optional: true,
    help: 'A file with the CA certificates (PEM) to trust for `rediss://…`. Default: the CAs of Node.',
  },
  origin: {
    kind: 'texts',
    optional: true,
    help: 'Addresses of another gateway that serves the same apps, one per app, in order. Feeds and logs follow it, proxies go through it, and no other upstream is called. The command also reads `WEIR_ORIGIN`.',
  },
  prefix: {
    kind: 'text',
    default: 'weir',
    help: 'Prefix of all keys in Redis. Nodes with the same prefix share state.',
  },
  worker: {
    kind: 'any',
    optional: true,
    help: 'Set by `weir start --workers`: access to the other worker processes.',
  },
  connections: { kind: 'integer', default: 100_000, min: 1, help: 'Limit of live connections per process.' },
  eventDeflate: {
    kind: 'boolean',
    default: true,
    help: 'Whether large events (SSE) are compressed, for clients that accept it.',
  },
  socketTopics: { kind: 'integer', default: 500, min: 1, help: 'Limit of topics per WebSocket.' },
  socketMessage: {
    kind: 'bytes',
    default: '16kb',
    min: 128,
    max: 2 ** 30,
    help: 'Size limit of messages from a client on a WebSocket.',
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
    help: 'Whether large messages on a WebSocket are compressed, for clients that accept it.',
  },
} as const satisfies OptionTable

/** Options of `weir start` in addition to those of the gateway. */
export const START_OPTIONS = {
  workers: {
    kind: 'text',
    optional: true,
    help: 'Number of worker processes, or `max` for one per processor. They share cache, calls and budgets, and a worker that exits is replaced. The command also reads `WEIR_WORKERS`. Default: one process without workers.',
  },
  'worker-memory': {
    kind: 'bytes',
    optional: true,
    min: 1024,
    help: "Resident memory above which a worker is replaced. Default: 80 % of the machine's memory, divided by the number of workers.",
  },
} as const satisfies OptionTable

/**
 * Reads options against their table: fills in defaults, turns durations into milliseconds and sizes into bytes, and
 * refuses unknown names with a suggestion.
 *
 * @param where what is being declared, for messages, such as `http "jupiter"`
 * @throws ConfigError naming the option, what was expected and what came
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
 * A duration in milliseconds.
 *
 * @throws ConfigError when it is anything but a number with one of the units ms, s, m, h, d
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
      // What can't be read as an address may have a key in it, or be one.
      if (typeof value !== 'string' || !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
        throw new ConfigError(where, key, describe(option), withoutSecrets(value))
      }
      return value
    case 'texts': {
      const texts = typeof value === 'string' ? value.split(',') : value
      // Keys are such lists: what is in one is not shown.
      if (!Array.isArray(texts)) throw new ConfigError(where, key, describe(option), typeof value)
      if (!texts.every((text) => typeof text === 'string'))
        throw new ConfigError(where, key, describe(option), 'a list of other things')
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
  // Half a byte or a millisecond is nothing that anything here can count.
  return Math.round(Number(match[1]) * unit)
}

const KINDS: Readonly<Record<Kind, string>> = {
  duration: "a duration such as '1s'",
  bytes: "a size such as '16mb'",
  integer: 'a whole number',
  boolean: 'true or false',
  text: 'a text',
  url: 'an address that begins with http:// or https://',
  texts: 'a list of texts',
  any: 'a value',
}

/** What an option takes, in words; for messages and for the reference. */
export function describe(option: Option): string {
  const unit = option.kind === 'duration' ? ' ms' : option.kind === 'bytes' ? ' bytes' : ''
  const least = option.min ? `, at least ${option.min.toLocaleString('en')}${unit}` : ''
  const most = option.max === undefined ? '' : `, at most ${option.max.toLocaleString('en')}${unit}`
  return `${KINDS[option.kind]}${least}${most}`
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What was expected in place of an unknown name: the known one that is meant, or all there are. */
export function knownOr(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? `one of ${known.join(', ')}` : `a known ${what} (did you mean "${near}"?)`
}

/** The known name that is at most two slips away, if any. */
function nearest(name: string, known: readonly string[]): string | undefined {
  return known
    .map((candidate) => ({ candidate, slips: slips(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ slips }) => slips <= 2)
    .sort((a, b) => a.slips - b.slips)[0]?.candidate
}

/** Levenshtein distance, by rows. */
function slips(a: string, b: string): number {
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
