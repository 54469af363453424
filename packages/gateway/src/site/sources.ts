import type { Backend, Logs } from '../backend/ports.ts'
import type { Clock } from '../clock.ts'
import { ConfigError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { RequestPath } from '../pipeline.ts'
import { createDerived, type Follower } from '../topic/feed/derived.ts'
import type { FeedPlan } from '../topic/feed/feed.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { ReadKey } from '../topic/key.ts'
import type { LogPlan } from '../topic/log/log.ts'
import type { LogRuntimeParts } from '../topic/log/log-runtime.ts'
import { createPushConnection } from '../upstream/push/connection.ts'
import type { PushListener, PushSource } from '../upstream/push/push.ts'
import type { OriginPlan, Upstream } from '../upstream/upstream.ts'
import { createOrigin, type Origin, type OriginParts } from '../upstream/weir/origin.ts'
import { originLogs } from '../upstream/weir/origin-logs.ts'
import { originCall } from '../upstream/weir/weir.ts'

export interface SourcesParts {
  readonly backend: Pick<Backend, 'logs'>
  readonly clock: Clock
  readonly emit: Emit
  /** Receives the level of each origin. */
  readonly level: (origin: string, level: Parameters<OriginParts['level']>[0]) => void
  readonly requests: (user: { readonly upstream: Upstream; readonly where: string }) => RequestPath
  /** The feed at work at a path; undefined when the app has none there. */
  readonly feed: (path: string) => FeedRuntime | undefined
}

/** Where the values of feeds and the events of logs come from when they are not loaded: an origin, a push connection, other feeds. */
export interface Sources {
  /** Makes the push source of a feed; undefined for one that is only polled. */
  push(plan: FeedPlan): ((listener: PushListener) => PushSource) | undefined
  /** Where the events of a log are kept. */
  logs(plan: LogPlan): Logs
  /** The value whose loader publishes into a log. */
  dependency(plan: LogPlan): LogRuntimeParts['source']
  stop(): void
}

/** The sources of one site. Connections are opened when the first topic needs one, and one origin has one for all of them. */
export function createSources({ backend, clock, emit, level, requests, feed: feedAt }: SourcesParts): Sources {
  const { random } = Math
  const origins = new Map<string, Origin>()

  function originOf(name: string, plan: OriginPlan): Origin {
    const known = origins.get(name)
    if (known !== undefined) return known
    const origin = createOrigin({ name, plan, clock, emit, random, level: (now) => level(name, now) })
    origins.set(name, origin)
    return origin
  }

  function feedOf(where: string, option: string, path: string): FeedRuntime {
    const feed = feedAt(path)
    if (feed === undefined) throw new ConfigError(where, option, 'feeds of the same app', path)
    return feed
  }

  return {
    push({ name: feed, push: plan, upstream, dependsOn, where }) {
      if (upstream?.origin !== undefined) {
        const { name, origin } = upstream
        return (listener) => originOf(name, origin).feed(listener)
      }
      if (dependsOn !== undefined) {
        const follow = (path: string, readKey: ReadKey, follower: Follower) =>
          feedOf(where, 'live.dependsOn', path).follow(readKey, follower)
        return (listener) => createDerived({ dependsOn, listener, clock, follow })
      }
      if (plan === undefined) return undefined
      return (listener) => createPushConnection({ feed, plan, listener, clock, emit, random })
    },

    logs({ where, upstream, history: bounds }) {
      if (upstream?.origin === undefined) return backend.logs
      const call = originCall({ upstream, send: requests({ upstream, where }).send, clock })
      return originLogs({ origin: originOf(upstream.name, upstream.origin), call, bounds, clock })
    },

    dependency({ dependsOn, where }) {
      if (dependsOn === undefined) return undefined
      return (key) => {
        const { feed, readKey } = dependsOn(key)
        const of = feedOf(where, 'dependsOn', feed.path)
        return {
          follow: (follower) => of.follow(readKey, follower),
          read: (client) => of.read(readKey, { client, signal: undefined }),
          get stale() {
            return of.isStale(readKey.topic)
          },
        }
      }
    },

    stop() {
      for (const origin of origins.values()) origin.stop()
    },
  }
}
