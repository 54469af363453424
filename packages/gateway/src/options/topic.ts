import type { OptionTable } from '../options.ts'

/** The options of `feed()`. */
export const FEED_OPTIONS = {
  name: { kind: 'text', help: 'The name of the feed in metrics and in GraphQL.' },
  key: {
    kind: 'any',
    takes: 'an object of schemas',
    help: 'A schema for each part of the key. Parts that are not in the path are query parameters.',
  },
  maxKeyLength: {
    kind: 'integer',
    default: 512,
    min: 1,
    max: 32_768,
    help: 'Maximum length of one part of a key, in characters.',
  },
  value: { kind: 'any', takes: 'a schema', help: 'The schema of the value.' },
  from: {
    kind: 'any',
    takes: 'an upstream',
    optional: true,
    help: 'The upstream. Not needed if the loader needs none, as for a value derived from other feeds.',
  },
  load: {
    kind: 'any',
    takes: 'an object',
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
    takes: 'a function',
    optional: true,
    help: '`(value) => number`: the position of a value in an order of the upstream, such as its slot. A value with a lower position than the cached one is rejected, whether fetched or pushed.',
  },
  asOf: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(value) => Date | number | string`: the time that a value states about itself. Age and freshness count from it.',
  },
  tags: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(value, key) => strings`: tags by which `dropTagged()` finds the value.',
  },
  prewarm: {
    kind: 'any',
    takes: 'a list of keys, or the file: URL of one',
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
  live: {
    kind: 'any',
    takes: 'an object, or `push(…)`',
    optional: true,
    help: "Polls watched values: `{ every: '1s', linger: '30s' }`.",
  },
} as const satisfies OptionTable

/** The options of `createBatch()`. */
export const BATCH_OPTIONS = {
  many: {
    kind: 'any',
    takes: 'a function',
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
    takes: 'a function',
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
    takes: 'a function',
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
    takes: 'a string or a function',
    help: 'URL of the WebSocket, `ws:` or `wss:`, or a function that returns it before each connection.',
  },
  headers: { kind: 'any', takes: 'an object', optional: true, help: 'Headers of the handshake.' },
  greet: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`() => messages`: the first messages of each connection.',
  },
  subscribe: {
    kind: 'any',
    takes: 'a function',
    help: '`(key, id) => message`: subscribes to a key. `id` is unique per subscription.',
  },
  unsubscribe: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(key, id, token) => message`: unsubscribes.',
  },
  shared: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(key) => string`: keys with the same string share one subscription.',
  },
  read: {
    kind: 'any',
    takes: 'a function',
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
    takes: 'a function',
    help: '`(key) => [method, params]`: subscribes to a key. Keys with the same result share one subscription.',
  },
  unsubscribe: { kind: 'text', help: 'The method that ends a subscription, such as `accountUnsubscribe`.' },
  keyOf: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(result) => key`: the key of a notification; undefined for none. By default all keys of the subscription.',
  },
  value: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(result, key) => value`: the value in a notification; undefined if it only reports a change. By default the value is fetched.',
  },
  ...{ revalidateEvery, silenceTimeout, maxSubscriptions, messageRate, ...POLL_OPTIONS },
} as const satisfies OptionTable

/** The options of `log()`. */
export const LOG_OPTIONS = {
  name: { kind: 'text', help: 'The name of the log in metrics and in GraphQL.' },
  key: FEED_OPTIONS.key,
  event: { kind: 'any', takes: 'a schema', help: 'The schema of an event.' },
  from: {
    kind: 'any',
    takes: 'an upstream',
    optional: true,
    help: 'An origin, `weir(…)`, whose log at the same address is followed. Events are then published there.',
  },
  scope: {
    ...FEED_OPTIONS.scope,
    help: "Who may see the events: `public`, `tenant` or `user`. The app's `identify` names the caller.",
  },
  dependsOn: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(key) => at(feed, key)`: the value whose loader publishes new events. It is watched with the log, and read before the log is.',
  },
  history: {
    kind: 'any',
    takes: 'an object',
    optional: true,
    help: "Limits of the history: `{ events: 1000, age: '1h' }`.",
  },
  mayPublish: {
    kind: 'any',
    takes: '`true` or a function',
    optional: true,
    help: 'Which clients may publish: `true` for all, or `({ key, identity }) => boolean`; none by default.',
  },
} as const satisfies OptionTable

/** `history` of a log. */
export const HISTORY_OPTIONS = {
  events: { kind: 'integer', default: 1000, min: 1, max: 100_000, help: 'Maximum events kept per key.' },
  age: { kind: 'duration', default: '1h', min: 1, help: 'How long an event is kept.' },
} as const satisfies OptionTable

/** The options of `stream()`. */
export const STREAM_OPTIONS = {
  of: { kind: 'any', takes: 'a feed', help: 'The feed.' },
  choose: {
    kind: 'any',
    takes: 'an object',
    optional: true,
    help: "How a client selects keys: `{ query: 'mints', part: 'mint' }` accepts `?mints=a,b`. Without a selection, the stream has all watched keys.",
  },
  always: {
    kind: 'any',
    takes: 'a list of keys',
    optional: true,
    help: 'Keys that a stream without a selection keeps watched.',
  },
  maxKeys: { kind: 'integer', default: 500, min: 1, max: 10_000, help: 'Maximum keys that a client may select.' },
} as const satisfies OptionTable

/** The options of `socket()`. */
export const SOCKET_OPTIONS = {
  name: { kind: 'text', help: 'The name of the socket in metrics and in errors.' },
  follow: {
    kind: 'any',
    takes: 'a list of `follow(…)`',
    optional: true,
    help: 'What each client receives at once and at each change: a list of `follow()`.',
  },
  receive: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(message, client) => …`: handles a message, parsed as JSON.',
  },
} as const satisfies OptionTable

/** The options of `proxy()`. */
export const PROXY_OPTIONS = {
  to: { kind: 'any', takes: 'an upstream', help: 'The upstream.' },
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
    help: 'Removes cookies that the upstream sets, so that its answers can be cached: an answer that sets a cookie is not shared otherwise. `cookie` cannot be forwarded then.',
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
    takes: 'a function',
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
  to: { kind: 'any', takes: 'an upstream', help: 'The upstream: `jsonRpc(…)`, or `anyOf` several.' },
  methods: {
    kind: 'any',
    takes: 'an object',
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
