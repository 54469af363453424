export {
  type App,
  type AppOptions,
  type Caller,
  defineApp,
  type GraphqlOptions,
  type Identify,
  type Part,
  type Routes,
} from './app.ts'
export type { Identity } from './call.ts'
export type { Clock, Timer } from './clock.ts'
export { ConfigError, ERRORS, type ErrorCode, WeirError } from './errors.ts'
export type { CacheOutcome, Emit, Priority, WeirEvent } from './events.ts'
export { createGateway } from './gateway.ts'
export type { Gateway, GatewayOptions } from './gateway-api.ts'
export type { Bytes, Duration } from './options.ts'
export type { RateLimitSignal } from './rate-limit-signal.ts'
export type { Of } from './site/of.ts'
export type { Site } from './site/site.ts'
export { type Batch, type BatchOptions, createBatch } from './standalone/batch.ts'
export { type Budget, type BudgetOptions, createBudget, type RunCall, type RunOptions } from './standalone/budget.ts'
export { type Cache, type CacheOptions, createCache, type Kept } from './standalone/cache.ts'
export { createFlight, type Flight, type FlightOptions } from './standalone/flight.ts'
export { createHub, type Hub, type HubOptions } from './standalone/hub.ts'
export {
  type Absent,
  type At,
  absent,
  at,
  type Feed,
  type FeedOptions,
  feed,
  type LiveOptions,
  type LoadMany,
  type LoadMatched,
  type LoadOne,
  never,
  type Reading,
  type ServedFeed,
} from './topic/feed/feed.ts'
export { type Stream, type StreamOptions, stream } from './topic/feed/stream.ts'
export {
  type HistoryOptions,
  type Log,
  type LogOptions,
  type LogRange,
  type LogReading,
  log,
  type MayPublish,
  type ServedLog,
} from './topic/log/log.ts'
export { type HttpProxy, type ProxyOptions, proxy } from './topic/proxy/proxy.ts'
export { type RpcMethodOptions, type RpcOptions, type RpcRoute, rpc } from './topic/rpc/rpc.ts'
export type { Scope } from './topic/scope.ts'
export {
  type AppSocket,
  type Follow,
  follow,
  type SocketClient,
  type SocketOptions,
  socket,
} from './topic/socket.ts'
export { type AnyOfOptions, anyOf } from './upstream/any-of.ts'
export { type HttpCall, type HttpGet, type HttpOptions, type HttpPost, http } from './upstream/http.ts'
export { JsonRpcError } from './upstream/json-rpc/answer.ts'
export {
  type JsonRpcCall,
  type JsonRpcCallOptions,
  type JsonRpcOptions,
  type JsonRpcParams,
  jsonRpc,
} from './upstream/json-rpc/json-rpc.ts'
export { type JsonRpcPushOptions, jsonRpcPush } from './upstream/json-rpc/push.ts'
export type { Limit } from './upstream/limits.ts'
export { type Push, type PushNews, type PushOptions, type PushToken, push } from './upstream/push/push.ts'
export type { Upstream } from './upstream/upstream.ts'
export type { OriginCall } from './upstream/weir/origin-value.ts'
export { type WeirOptions, weir } from './upstream/weir/weir.ts'
