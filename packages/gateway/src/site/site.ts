import type { Admission } from '../admission/admission.ts'
import type { LevelState } from '../admission/level.ts'
import type { App } from '../app.ts'
import { namespacedBackend } from '../backend/namespaced.ts'
import { createMemory, type Memory } from '../cache/memory.ts'
import type { Handler } from '../call.ts'
import { WeirError } from '../errors.ts'
import { createHub, type Hub } from '../hub/hub.ts'
import type { PipelineParts } from '../pipeline.ts'
import { otherPathOf } from '../route/overlap.ts'
import { createRoutes, type Route } from '../route/router.ts'
import { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { keysApart } from '../topic/key.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import { within } from '../topic/serving.ts'
import { type PeerLimits, Peers } from '../transport/peers.ts'
import type { Upstreams } from '../upstreams.ts'
import { appRoutes } from './app-routes.ts'
import { onDropped } from './drops.ts'
import { createFront } from './front.ts'
import { graphqlRoute } from './graphql.ts'
import { kindOf } from './kinds.ts'
import type { Of } from './of.ts'
import { openApiRoute } from './openapi.ts'
import type { RunningPart, SiteContext } from './parts.ts'
import { createSources } from './sources.ts'
import { topicFinder, topicRoutes } from './topics.ts'

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
  const { app, upstreams, admission, level, heartbeat, operations } = parts
  const { clock, emit } = parts.pipeline
  const backend = namespacedBackend(parts.pipeline.backend, app.name)
  const { bus } = backend
  const hub = createHub({ clock, emit, level: () => level.now, heartbeat })
  level.onChange(() => hub.tellLevel())
  const memory = createMemory(parts.memory)
  const feeds = new Map<string, FeedRuntime>()
  const running: RunningPart[] = []
  const sources = createSources({
    ...{ backend, clock, emit, requests: upstreams.of },
    level: (origin, now) => level.follow(origin, now),
    feed: (path) => feeds.get(path),
  })
  const topicPaths = app.use.filter((part) => kindOf(part).topics !== undefined).map(({ path }) => path)
  let stopHearing = () => {}

  const context: SiteContext = {
    get site() {
      return site
    },
    ...{ memory, sources, admission, cors: app.cors, identifies: app.identify !== undefined },
    pipeline: { ...parts.pipeline, backend },
    peers: new Peers(clock, heartbeat, parts.sockets),
    live: {
      ...{ hub, clock, heartbeat, deflate: parts.deflate },
      level: () => level.now,
      lineage: () => backend.values.lineage,
    },
    requests: upstreams.of,
    feed(path) {
      const feed = feeds.get(path)
      if (feed === undefined) throw new WeirError('internal', `app "${app.name}": the feed at ${path} was not started`)
      return feed
    },
    withOwnKeys(plan) {
      const otherPath = otherPathOf(plan.path, topicPaths)
      return otherPath === undefined ? plan : { ...plan, keys: keysApart(plan.keys, otherPath) }
    },
    within: (run) => within(site, run),
  }
  const site: SiteAtWork = {
    app,
    hub,
    memory,
    get handle() {
      return handle
    },
    start() {
      stopHearing = onDropped(bus, feeds, memory)
      for (const part of running) part.serve?.()
      for (const part of running) part.prewarm?.()
    },
    async stop() {
      stopHearing()
      await Promise.all(running.map((part) => part.stop?.()))
      sources.stop()
    },
  }
  let handle: Handler
  try {
    for (const part of app.use) {
      const started = kindOf(part).start(part, context)
      running.push(started)
      if (started.topic instanceof FeedRuntime) feeds.set(part.path, started.topic)
    }
    handle = handlerOf(app, running, operations, context)
  } catch (error) {
    // The caller gets the cause, not what stopping a part might throw.
    site.stop().catch(() => {})
    throw error
  }
  return site
}

/** The site's addresses in their order: the gateway's own, the parts of the app, its routes; and before them the front path. */
function handlerOf(
  app: App,
  running: readonly RunningPart[],
  operations: readonly Route[],
  context: SiteContext,
): Handler {
  const { clock, emit } = context.pipeline
  const byRoute = new Map<Route, FeedRuntime | LogRuntime>()
  const routes: Route[] = []
  for (const part of running) {
    for (const route of part.routes()) {
      routes.push(route)
      if (part.topic !== undefined) byRoute.set(route, part.topic)
    }
  }
  const own = appRoutes(app, context.within)
  const topics = [...byRoute.values()]
  const find = topicFinder(() => router, byRoute, emit)
  const scoped = [...byRoute.keys()].some((route) => route.scoped)
  const ours = [
    ...operations,
    ...topicRoutes(context, find, scoped),
    ...(app.graphql === undefined ? [] : [graphqlRoute(app.graphql, topics, context)]),
    openApiRoute(app, operations, own.described),
  ]
  const router = createRoutes(app.name, ours, [...routes, ...own.routes])
  const { admission, live } = context
  return createFront({ app, clock, emit, admission, hub: live.hub, router, fallback: own.fallback })
}
