export { type App, type AppOptions, defineApp, type Part, type Routes } from './app.ts'
export type { Clock, Timer } from './clock.ts'
export { ConfigError, ERRORS, type ErrorCode, WeirError } from './errors.ts'
export type { CacheOutcome, Emit, Priority, WeirEvent } from './events.ts'
export { createGateway } from './gateway.ts'
export type { Gateway, GatewayOptions } from './gateway-api.ts'
export type { Bytes, Duration } from './options.ts'
export type { Site } from './site.ts'
export {
  type Absent,
  absent,
  type Feed,
  type FeedOptions,
  feed,
  type LiveOptions,
  type LoadMany,
  type LoadOne,
  type Reading,
} from './topic/feed.ts'
export { type Stream, type StreamOptions, stream } from './topic/stream.ts'
export { type HttpCall, type HttpGet, type HttpLimit, type HttpOptions, type HttpPost, http } from './upstream/http.ts'
export type { Upstream } from './upstream/upstream.ts'
