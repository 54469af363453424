import { randomUUID } from 'node:crypto'
import { createAdmission } from './admission/admission.ts'
import { createLevel, type LevelState } from './admission/level.ts'
import type { App } from './app.ts'
import { memoryBackend } from './backend/memory/backend.ts'
import { scopedBackend } from './backend/scoped.ts'
import { createMemory, type Memory } from './cache/cache.ts'
import type { Handler } from './call.ts'
import { type Clock, systemClock } from './clock.ts'
import { ConfigError } from './errors.ts'
import type { Emit } from './events.ts'
import { createHub, type Hub } from './hub/hub.ts'
import { createMetrics, type Metrics } from './observe/metrics.ts'
import { operations } from './observe/operations.ts'
import { type Bytes, type Duration, GATEWAY_OPTIONS, readOptions } from './options.ts'
import { type PipelineParts, type RequestPath, readPath, requestPath } from './pipeline.ts'
import { type Listening, listen } from './runtime/node.ts'
import { toFetch } from './runtime/web.ts'
import { createSite } from './site.ts'
import type { Feed } from './topic/feed.ts'
import { LiveFeed } from './topic/live-feed.ts'
import type { Upstream } from './upstream/upstream.ts'

/** What `createGateway()` takes. */
export interface GatewayOptions {
  readonly apps: readonly App[]
  /** The system clock by default. */
  readonly clock?: Clock
  /** Called with every event; it must not throw. */
  readonly observe?: Emit
  /** A live connection is never silent for longer. `'10s'` by default. */
  readonly heartbeat?: Duration
  /** The most memory that kept values take. `'256mb'` by default. */
  readonly memory?: Bytes
  /** The most live connections of this process. 100,000 by default. */
  readonly connections?: number
}

/** One app being served. */
export interface Site {
  readonly app: App
  readonly handle: Handler
  /** The site as a Web-standard fetch, for servers other than Node's. */
  fetch(request: Request): Promise<Response>
}

/** Apps at work in this process. */
export interface Gateway {
  readonly sites: readonly Site[]
  readonly level: LevelState
  readonly metrics: Metrics
  /**
   * Serves every site on Node's HTTP server: the first at `port`, the next above it; port 0 gives each a free one.
   *
   * @returns the address of each site, in order
   * @throws the system's error, such as EADDRINUSE
   */
  listen(at: { readonly port: number; readonly host?: string }): Promise<readonly string[]>
  /** Tells live clients when to come back, ends every connection and lets go of everything. Bounded by `within` milliseconds. */
  close(within?: number): Promise<void>
}

/**
 * Puts the parts together. Nothing is asked of any upstream before somebody asks for a value.
 *
 * @throws ConfigError naming what was expected and what came
 */
export function createGateway(options: GatewayOptions): Gateway {
  const read = readOptions('gateway', GATEWAY_OPTIONS, options)
  const clock = options.clock ?? systemClock
  const metrics = createMetrics()
  const emit: Emit = (event) => {
    metrics.observe(event)
    options.observe?.(event)
  }
  const level = createLevel(emit)
  const backend = memoryBackend(clock, read.memory)
  const names = options.apps.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new ConfigError('gateway', 'apps', 'apps with different names', twice)
  const parts: PipelineParts = { backend, clock, emit, node: randomUUID(), stretch: () => level.stretch }
  const requests = requestPaths(options.apps, parts)

  const hubs: Hub[] = []
  const connections = () => hubs.reduce((sum, hub) => sum + hub.connections, 0)
  const admission = createAdmission({ emit, level: () => level.now, connections, most: read.connections })
  const memories: Memory[] = []
  const upstreams = () =>
    [...requests.values()].map(({ upstream, budget }) => ({
      name: upstream.name,
      queued: budget.queued,
      running: budget.running,
    }))
  const kept = () => memories.reduce((sum, { entries }) => sum + entries.size, 0)
  const owned = operations({
    metrics,
    clock,
    level: () => level.now,
    draining: () => admission.draining,
    kept,
    upstreams,
  })

  const running: { feed: Feed; live: LiveFeed }[] = []
  const sites = options.apps.map((app): Site => {
    const scope = scopedBackend(backend, app.name)
    const hub = createHub({ clock, emit, level: () => level.now, heartbeat: read.heartbeat })
    hubs.push(hub)
    // Each app has a memory of its own: two may use the same addresses, and must not read each other's values.
    const memory = createMemory(Math.floor(read.memory / options.apps.length))
    memories.push(memory)
    const feeds = new Map<string, LiveFeed>()
    for (const feed of app.use.filter((part) => part.kind === 'feed')) {
      if (feed.runner !== undefined)
        throw new ConfigError(feed.plan.where, 'gateway', 'one gateway for each declaration', 'a second one')
      const path = readPath(feed.plan, pathOf(requests, feed), memory, { ...parts, backend: scope })
      const live = new LiveFeed({ plan: feed.plan, path, hub, bus: scope.bus, clock, emit, stretch: parts.stretch })
      feeds.set(feed.path, live)
      running.push({ feed, live })
    }
    const live = { hub, clock, heartbeat: read.heartbeat, level: () => level.now }
    const handle = createSite({ app, clock, emit, admission, live, feeds, operations: owned })
    return { app, handle, fetch: toFetch(handle) }
  })
  // Only now, when nothing can fail any more: a refused gateway must not keep the declarations.
  for (const { feed, live } of running) feed.runner = live

  const servers: Listening[] = []
  return {
    sites,
    level,
    metrics,

    async listen({ port, host = '127.0.0.1' }) {
      for (const [index, { handle }] of sites.entries()) {
        servers.push(await listen(handle, { port: port === 0 ? 0 : port + index, host }))
      }
      return servers.map(({ url }) => url)
    },

    async close(within = 5000) {
      admission.drain()
      for (const { feed, live } of running) {
        live.stop()
        feed.runner = undefined
      }
      for (const hub of hubs) hub.close(() => Math.round(500 + Math.random() * 2000))
      await Promise.all(servers.map((server) => server.close(within)))
      await Promise.all([...requests.values()].map((path) => path.close()))
      await backend.close()
    },
  }
}

/** One path for each name: apps that name the same upstream share its budget, and must agree on what it is. */
function requestPaths(apps: readonly App[], parts: PipelineParts): ReadonlyMap<string, RequestPath> {
  const upstreams = new Map<string, Upstream>()
  for (const part of apps.flatMap(({ use }) => use)) {
    if (part.kind !== 'feed') continue
    const { upstream, where } = part.plan
    const known = upstreams.get(upstream.name) ?? upstream
    if (known !== upstream && JSON.stringify(known.settings) !== JSON.stringify(upstream.settings)) {
      throw new ConfigError(
        where,
        'from',
        `the same settings for upstream "${upstream.name}" wherever it is declared`,
        'others',
      )
    }
    upstreams.set(upstream.name, known)
  }
  return new Map([...upstreams].map(([name, upstream]) => [name, requestPath(upstream, parts)]))
}

function pathOf(requests: ReadonlyMap<string, RequestPath>, { plan }: Feed): RequestPath {
  const path = requests.get(plan.upstream.name)
  if (path === undefined)
    throw new ConfigError(plan.where, 'from', 'an upstream of one of the apps', plan.upstream.name)
  return path
}
