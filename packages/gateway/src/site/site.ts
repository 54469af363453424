import type { Admission } from '../admission/admission.ts'
import type { LevelState } from '../admission/level.ts'
import type { App } from '../app.ts'
import { namespacedBackend } from '../backend/namespaced.ts'
import type { Logs } from '../backend/ports.ts'
import { createMemory, type Memory } from '../cache/memory.ts'
import type { Handler } from '../call.ts'
import { Entry } from '../entry.ts'
import { ConfigError } from '../errors.ts'
import { createHub, type Hub } from '../hub/hub.ts'
import { NO_REQUESTS, type PipelineParts, proxyPath, readPath } from '../pipeline.ts'
import { otherPathOf } from '../route/overlap.ts'
import type { Route } from '../route/router.ts'
import { createDerived, type Follower } from '../topic/feed/derived.ts'
import type { FeedPlan } from '../topic/feed/feed.ts'
import { type Dropped, FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { keysApart, type ReadKey } from '../topic/key.ts'
import type { LogPlan } from '../topic/log/log.ts'
import { LogRuntime, type LogRuntimeParts } from '../topic/log/log-runtime.ts'
import { ProxyRuntime } from '../topic/proxy/proxy-runtime.ts'
import { within } from '../topic/serving.ts'
import { type PeerLimits, Peers } from '../transport/peers.ts'
import { createPushConnection } from '../upstream/push/connection.ts'
import type { PushListener } from '../upstream/push/push.ts'
import type { OriginPlan } from '../upstream/upstream.ts'
import { createOrigin, type Origin } from '../upstream/weir/origin.ts'
import { originLogs } from '../upstream/weir/origin-logs.ts'
import { originCall } from '../upstream/weir/weir.ts'
import type { Upstreams } from '../upstreams.ts'
import { createAddresses } from './front.ts'
import type { Of } from './of.ts'

/** Where nodes tell each other what was dropped. */
const DROPS = 'drops'

export interface SiteParts {
  readonly app: App
  readonly pipeline: PipelineParts
  readonly upstreams: Upstreams
  readonly admission: Admission
  readonly level: LevelState
  /** The addresses that the gateway itself owns on every site. */
  readonly operations: readonly Route[]
  /** Milliseconds. */
  readonly heartbeat: number
  readonly sockets: PeerLimits
  /** Whether streams of large events may be compressed. */
  readonly deflate: boolean
  /** Bytes of kept values. */
  readonly memory: number
}

/** One app being served. */
export interface Site {
  readonly app: App
  readonly handle: Handler
  /** The site as a Web-standard fetch, for servers other than Node's. */
  fetch(request: Request): Promise<Response>
  /** A feed or a log of this app, as this site serves it. */
  readonly of: Of
}

/** One app at work: its hub, its memory, its feeds and its addresses. Two apps may use the same paths and never meet. */
export interface SiteAtWork {
  readonly app: App
  readonly handle: Handler
  readonly hub: Hub
  readonly memory: Memory
  /** Begins to serve its declarations to code. */
  start(): void
  /** Ends that, and stops asking upstreams. */
  stop(): Promise<void>
}

/** @throws ConfigError when the app clashes with itself */
export function createSite(parts: SiteParts): SiteAtWork {
  const { app, upstreams, admission, level, heartbeat } = parts
  const { clock, emit, stretch } = parts.pipeline
  const backend = namespacedBackend(parts.pipeline.backend, app.name)
  const hub = createHub({ clock, emit, level: () => level.now, heartbeat })
  level.onChange(() => hub.tellLevel())
  const memory = createMemory(parts.memory)
  let stopHearing = () => {}

  const { random } = Math
  const origins = new Map<string, Origin>()
  function originOf(name: string, plan: OriginPlan): Origin {
    const origin =
      origins.get(name) ?? createOrigin({ name, plan, clock, emit, random, level: (now) => level.follow(name, now) })
    origins.set(name, origin)
    return origin
  }
  function pushOf({ name: feed, push: plan, upstream, dependsOn, where }: FeedPlan) {
    if (upstream?.origin !== undefined) {
      const { name, origin } = upstream
      return (listener: PushListener) => originOf(name, origin).feed(listener)
    }
    if (dependsOn !== undefined) {
      const follow = (path: string, readKey: ReadKey, follower: Follower) => {
        const of = feeds.get(path)
        if (of === undefined) throw new ConfigError(where, 'live.dependsOn', 'feeds of the same app', path)
        return of.follow(readKey, follower)
      }
      return (listener: PushListener) => createDerived({ dependsOn, listener, clock, follow })
    }
    if (plan === undefined) return undefined
    return (listener: PushListener) => createPushConnection({ feed, plan, listener, clock, emit, random })
  }
  function logsOf({ where, upstream, history: bounds }: LogPlan): Logs {
    if (upstream?.origin === undefined) return backend.logs
    const call = originCall({ upstream, send: upstreams.of({ upstream, where }).send, clock })
    return originLogs({ origin: originOf(upstream.name, upstream.origin), call, bounds, clock })
  }
  const { bus, leases } = backend
  const dropped = (feed: string, what: Dropped) => bus.broadcast(DROPS, JSON.stringify({ feed, what }))
  const shared = { hub, bus, leases, node: parts.pipeline.node, clock, emit, stretch }
  const declared = app.use.filter((part) => part.kind === 'feed')
  const logged = app.use.filter((part) => part.kind === 'log')
  const paths = [...declared, ...logged].map(({ path }) => path)
  /** Without the keys whose address another feed or log serves. */
  function apart<Plan extends FeedPlan | LogPlan>(plan: Plan): Plan {
    const otherPath = otherPathOf(plan.path, paths)
    return otherPath === undefined ? plan : { ...plan, keys: keysApart(plan.keys, otherPath) }
  }
  const feeds = new Map<string, FeedRuntime>()
  for (const { plan: given } of declared) {
    const plan = apart(given)
    const { upstream, where } = plan
    const requests = upstream === undefined ? NO_REQUESTS : upstreams.of({ upstream, where })
    const load: FeedPlan['load'] = (...given) => within(site, () => plan.load(...given))
    const path = readPath({ ...plan, load }, requests, memory, { ...parts.pipeline, backend })
    feeds.set(
      plan.path,
      new FeedRuntime({ ...shared, plan, path, push: pushOf(plan), dropped: (what) => dropped(plan.path, what) }),
    )
  }
  function sourceOf({ dependsOn, where }: LogPlan): LogRuntimeParts['source'] {
    if (dependsOn === undefined) return undefined
    return (key) => {
      const { feed, readKey } = dependsOn(key)
      const of = feeds.get(feed.path)
      if (of === undefined) throw new ConfigError(where, 'dependsOn', 'a feed of the same app', feed.path)
      return {
        follow: (follower) => of.follow(readKey, follower),
        read: (client) => of.read(readKey, { client, signal: undefined }),
        get stale() {
          return of.isStale(readKey.topic)
        },
      }
    }
  }
  const logs = new Map<string, LogRuntime>()
  for (const { plan } of logged) {
    logs.set(
      plan.path,
      new LogRuntime({ plan: apart(plan), logs: logsOf(plan), hub, clock, emit, source: sourceOf(plan) }),
    )
  }
  const proxies = new Map<string, ProxyRuntime>()
  for (const part of app.use) {
    if (part.kind !== 'proxy') continue
    const path = proxyPath(part.plan, upstreams.of(part.plan), memory, parts.pipeline)
    proxies.set(part.path, new ProxyRuntime({ plan: part.plan, path, clock, emit }))
  }
  const live = {
    hub,
    clock,
    heartbeat,
    level: () => level.now,
    lineage: () => backend.values.lineage,
    deflate: parts.deflate,
  }
  const peers = new Peers(clock, heartbeat, parts.sockets)
  const { operations } = parts
  const handle = createAddresses({
    ...{ app, clock, emit, admission, live, peers, feeds, logs, proxies, operations },
    within: (run) => within(site, run),
  })

  const site: SiteAtWork = {
    app,
    handle,
    hub,
    memory,
    start() {
      stopHearing = bus.onBroadcast(DROPS, (word) => {
        if (word === '') {
          forgetAll(memory, [...feeds.values()])
          return
        }
        const { feed, what }: { readonly feed: string; readonly what: Dropped } = JSON.parse(word)
        feeds.get(feed)?.drops(what)
      })
      for (const { serving, path } of declared) {
        const runtime = feeds.get(path)
        if (runtime !== undefined) serving.begin(site, runtime)
      }
      for (const { serving, path } of logged) {
        const runtime = logs.get(path)
        if (runtime !== undefined) serving.begin(site, runtime)
      }
      for (const feed of feeds.values()) feed.prewarm()
    },
    async stop() {
      stopHearing()
      for (const { serving } of [...declared, ...logged]) serving.end(site)
      for (const log of logs.values()) log.stop()
      await Promise.all([...feeds.values()].map((feed) => feed.stop()))
      for (const origin of origins.values()) origin.stop()
    },
  }
  return site
}

/**
 * What was dropped while this node was cut off it did not hear of: all that it has is to be confirmed, by the shared tier or the
 * upstream. What is watched is asked for in a moment anyway.
 */
function forgetAll({ entries }: Memory, feeds: readonly FeedRuntime[]): void {
  for (const entry of entries.values()) {
    if (entry instanceof Entry && !feeds.some((feed) => feed.watches(entry.topic))) entry.expire()
  }
}
