import type { StandardSchemaV1 } from '@standard-schema/spec'
import { expectTypeOf, test } from 'vitest'
import type { AppOptions, GraphqlOptions } from '../src/app.ts'
import type { GatewayOptions } from '../src/gateway-api.ts'
import type { APP_OPTIONS, GRAPHQL_OPTIONS } from '../src/options/app.ts'
import type { GATEWAY_OPTIONS } from '../src/options/gateway.ts'
import type * as standalone from '../src/options/standalone.ts'
import type * as topic from '../src/options/topic.ts'
import type * as upstream from '../src/options/upstream.ts'
import type { BatchOptions } from '../src/standalone/batch.ts'
import type { BudgetOptions } from '../src/standalone/budget.ts'
import type { CacheOptions } from '../src/standalone/cache.ts'
import type { FlightOptions } from '../src/standalone/flight.ts'
import type { HubOptions } from '../src/standalone/hub.ts'
import type { FeedOptions, LiveOptions } from '../src/topic/feed/feed.ts'
import type { StreamOptions } from '../src/topic/feed/stream.ts'
import type { HistoryOptions, LogOptions } from '../src/topic/log/log.ts'
import type { ProxyOptions } from '../src/topic/proxy/proxy.ts'
import type { RpcMethodOptions, RpcOptions } from '../src/topic/rpc/rpc.ts'
import type { SocketOptions } from '../src/topic/socket.ts'
import type { AnyOfOptions } from '../src/upstream/any-of.ts'
import type { HttpOptions } from '../src/upstream/http.ts'
import type { JsonRpcOptions } from '../src/upstream/json-rpc/json-rpc.ts'
import type { JsonRpcPushOptions } from '../src/upstream/json-rpc/push.ts'
import type { Limit } from '../src/upstream/limits.ts'
import type { PushOptions } from '../src/upstream/push/push.ts'
import type { WeirOptions } from '../src/upstream/weir/weir.ts'

type Schemas = { readonly id: StandardSchemaV1 }

/** The compiler checks these: an option that only the table or only the interface knows is an error. */
test('each table of options has the keys of its interface, and no others', () => {
  expectTypeOf<keyof GatewayOptions>().toEqualTypeOf<keyof typeof GATEWAY_OPTIONS>()
  expectTypeOf<keyof AppOptions>().toEqualTypeOf<keyof typeof APP_OPTIONS>()
  expectTypeOf<keyof GraphqlOptions>().toEqualTypeOf<keyof typeof GRAPHQL_OPTIONS>()
  expectTypeOf<keyof HttpOptions>().toEqualTypeOf<keyof typeof upstream.HTTP_OPTIONS>()
  expectTypeOf<keyof JsonRpcOptions>().toEqualTypeOf<keyof typeof upstream.JSON_RPC_OPTIONS>()
  expectTypeOf<keyof WeirOptions>().toEqualTypeOf<keyof typeof upstream.WEIR_OPTIONS>()
  expectTypeOf<keyof AnyOfOptions>().toEqualTypeOf<keyof typeof upstream.ANY_OF_OPTIONS>()
  expectTypeOf<keyof Limit>().toEqualTypeOf<keyof typeof upstream.LIMIT_OPTIONS>()
  expectTypeOf<keyof FeedOptions<Schemas, StandardSchemaV1, unknown>>().toEqualTypeOf<keyof typeof topic.FEED_OPTIONS>()
  expectTypeOf<keyof LiveOptions>().toEqualTypeOf<keyof typeof topic.LIVE_OPTIONS>()
  expectTypeOf<keyof PushOptions<unknown, unknown>>().toEqualTypeOf<keyof typeof topic.PUSH_OPTIONS>()
  expectTypeOf<keyof JsonRpcPushOptions<unknown, unknown>>().toEqualTypeOf<keyof typeof topic.JSON_RPC_PUSH_OPTIONS>()
  expectTypeOf<keyof LogOptions<Schemas, StandardSchemaV1>>().toEqualTypeOf<keyof typeof topic.LOG_OPTIONS>()
  expectTypeOf<keyof HistoryOptions>().toEqualTypeOf<keyof typeof topic.HISTORY_OPTIONS>()
  expectTypeOf<keyof StreamOptions<unknown>>().toEqualTypeOf<keyof typeof topic.STREAM_OPTIONS>()
  expectTypeOf<keyof SocketOptions>().toEqualTypeOf<keyof typeof topic.SOCKET_OPTIONS>()
  expectTypeOf<keyof ProxyOptions>().toEqualTypeOf<keyof typeof topic.PROXY_OPTIONS>()
  expectTypeOf<keyof RpcOptions>().toEqualTypeOf<keyof typeof topic.RPC_OPTIONS>()
  expectTypeOf<keyof RpcMethodOptions>().toEqualTypeOf<keyof typeof topic.RPC_METHOD_OPTIONS>()
  expectTypeOf<keyof BatchOptions<unknown, unknown>>().toEqualTypeOf<keyof typeof topic.BATCH_OPTIONS>()
  expectTypeOf<keyof BudgetOptions>().toEqualTypeOf<keyof typeof standalone.BUDGET_OPTIONS>()
  expectTypeOf<keyof FlightOptions<unknown>>().toEqualTypeOf<keyof typeof standalone.FLIGHT_OPTIONS>()
  expectTypeOf<keyof CacheOptions<unknown>>().toEqualTypeOf<keyof typeof standalone.CACHE_OPTIONS>()
  expectTypeOf<keyof HubOptions>().toEqualTypeOf<keyof typeof standalone.HUB_OPTIONS>()
})
