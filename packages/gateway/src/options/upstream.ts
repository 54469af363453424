import type { OptionTable } from '../options.ts'

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
    takes: 'an object',
    optional: true,
    help: "How a key is sent: `{ header: 'x-api-key' }` (with an optional `prefix`), or `{ query: 'apikey' }`. By default `authorization: Bearer KEY`.",
  },
  limits: {
    kind: 'any',
    takes: 'a list of objects',
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
    takes: 'a function',
    optional: true,
    help: '`(answer) => status`: the real status of an answer with 200, for upstreams that report errors in the body.',
  },
  rateLimitSignal: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(answer) => signal`: what an answer says of the rate limits beyond status and headers: `exhausted`, `pause`, `ofLane`, `remaining`.',
  },
  stall: {
    kind: 'duration',
    default: '2s',
    min: 0,
    help: 'Longest delay of a call in the network. A call that is abandoned earlier may still arrive, and counts until then.',
  },
  lag: {
    kind: 'any',
    takes: 'a function',
    optional: true,
    help: '`(answer) => milliseconds`: the age of the answered data, for `anyOf` by score; by default its `Age` header.',
  },
  maxResponse: { kind: 'bytes', default: '16mb', min: 1, help: 'Maximum size of an answer.' },
  headers: { kind: 'any', takes: 'an object', optional: true, help: 'Headers of every call.' },
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
  headers: { kind: 'any', takes: 'an object', optional: true, help: 'Headers of every call and handshake.' },
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
    help: "Maximum topics per connection: the origin's `socketTopics`. More topics use further connections.",
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
