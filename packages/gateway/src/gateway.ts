import { randomUUID } from 'node:crypto'
import metadata from '../package.json' with { type: 'json' }
import { createAdmission } from './admission/admission.ts'
import { createLevel } from './admission/level.ts'
import type { App } from './app.ts'
import { clusterBackend } from './backend/cluster/backend.ts'
import { withFallback } from './backend/fallback.ts'
import { memoryBackend } from './backend/memory/backend.ts'
import { shownLimits } from './backend/memory/stricter.ts'
import type { Backend, MeterLimit } from './backend/ports.ts'
import { createPresence } from './backend/presence.ts'
import { redisBackend } from './backend/redis/backend.ts'
import { redisEntry } from './backend/redis/entry.ts'
import { redisFault } from './backend/redis/fault.ts'
import { systemClock } from './clock.ts'
import { ConfigError, WeirError } from './errors.ts'
import type { Emit } from './events.ts'
import type { Gateway, GatewayOptions } from './gateway-api.ts'
import { healthRoutes } from './observe/health-routes.ts'
import { createMetrics } from './observe/metrics.ts'
import { createTroubles } from './observe/troubles.ts'
import { GATEWAY_OPTIONS } from './options/gateway.ts'
import { readOptions } from './options.ts'
import type { PipelineParts } from './pipeline.ts'
import { type Listening, listen } from './runtime/node/server.ts'
import { toFetch } from './runtime/web.ts'
import { of } from './site/of.ts'
import { regional } from './site/region.ts'
import { createSite, type SiteAtWork } from './site/site.ts'
import { openUpstreams } from './upstreams.ts'

/** How often a closing server disconnects clients that subscribed meanwhile, in milliseconds. */
const LATECOMERS = 250

/**
 * Creates a gateway. No upstream is called before a client requests a value.
 *
 * @throws ConfigError with the option, the expected and the given value
 */
export function createGateway(options: GatewayOptions): Gateway {
  const read = readOptions('gateway', GATEWAY_OPTIONS, options)
  const { heartbeat, memory, connections: most } = read
  const sockets = {
    message: read.socketMessage,
    topics: read.socketTopics,
    rate: read.socketRate,
    burst: read.socketBurst,
  }
  const { clock = systemClock, observe, worker } = options
  const apps = read.origin === undefined ? options.apps : regions(options.apps, read.origin)
  const twice = apps.find(({ name }, index) => apps.findIndex((app) => app.name === name) !== index)
  if (twice !== undefined) throw new ConfigError('gateway', 'apps', 'apps with different names', twice.name)
  const metrics = createMetrics(() => upstreams.health())
  const troubles = createTroubles(clock)
  const emit: Emit = (event) => {
    metrics.observe(event)
    troubles.observe(event)
    observe?.(event)
  }

  const sites: SiteAtWork[] = []
  const sum = (of: (site: SiteAtWork) => number) => sites.reduce((total, site) => total + of(site), 0)
  const level = createLevel(emit)
  const node = randomUUID()
  const backend = backendOf(options, { clock, emit, node })
  const pipeline: PipelineParts = {
    backend,
    clock,
    emit,
    node,
    stretch: () => level.stretch,
    strained: () => level.strained,
  }
  const upstreams = orEnd(
    () => openUpstreams(apps, pipeline),
    () => backend.close(),
  )
  const admission = createAdmission({
    emit,
    level: () => level.now,
    connections: () => sum(({ hub }) => hub.connections),
    most,
  })
  const owned = healthRoutes({
    metrics,
    clock,
    level: () => level.now,
    draining: () => admission.draining,
    silence: () => Math.max(0, ...sites.map(({ hub }) => hub.silence)),
    heartbeat,
    cached: () => sum(({ memory }) => memory.entries.size),
    upstreams: upstreams.health,
    troubles: troubles.now,
    nodes: () => nodes.all(),
    fleet: worker?.fleet,
  })
  const shared = { pipeline, upstreams, admission, level, operations: owned, heartbeat, sockets }
  const kept = { deflate: read.eventDeflate, memory: Math.floor(memory / apps.length) }
  orEnd(() => {
    for (const app of apps) sites.push(createSite({ ...shared, ...kept, app }))
    for (const site of sites) site.start()
  }, stop)
  const nodes = createPresence({
    node,
    version: metadata.version,
    bus: worker?.carrier === undefined && read.redis === undefined ? undefined : backend.bus,
    clock,
    emit,
    level: () => level.now,
    connections: () => sum(({ hub }) => hub.connections),
  })

  const servers: Listening[] = []
  let closed = false
  return {
    sites: sites.map((site) => ({ app: site.app, handle: site.handle, fetch: toFetch(site.handle), of: of([site]) })),
    level,
    metrics,
    troubles: troubles.now,
    of: of(sites),

    async listen({ port, host = '127.0.0.1' }) {
      const limits = { message: read.socketMessage, deflate: read.socketDeflate }
      const opened: Listening[] = []
      try {
        for (const [index, { handle }] of sites.entries()) {
          if (closed)
            throw new WeirError('draining', 'gateway: expected to listen before close(), got listen() after it')
          opened.push(await listen(handle, { port: portOf(port, index), host }, limits))
        }
        if (closed) throw new WeirError('draining', 'gateway: expected to listen before close(), got close() meanwhile')
      } catch (error) {
        await Promise.all(opened.map((server) => server.close(0, false)))
        throw error
      }
      servers.push(...opened)
      return opened.map(({ url }) => url)
    },

    async accept(open) {
      await Promise.all(servers.map((server) => server.accept(open)))
    },

    async close(within = 5000, handover = false) {
      closed = true
      if (!handover) admission.drain()
      nodes.close()
      const retry = () => Math.round(500 + Math.random() * 2000)
      const leave = () => Promise.all(sites.map(({ hub }) => hub.close(retry, within)))
      const left = leave()
      // A client that is served until the end may still subscribe.
      const latecomers = setInterval(() => void left.then(leave), LATECOMERS)
      await Promise.all([left, ...servers.map((server) => server.close(within, handover))])
      clearInterval(latecomers)
      await stop()
    },
  }

  async function stop(): Promise<void> {
    await Promise.all(sites.map((site) => site.stop()))
    await upstreams.close()
    await backend.close()
  }
}

/** Returns the result of `make`. If it throws, `end` closes everything that was opened. */
function orEnd<Made>(make: () => Made, end: () => Promise<unknown>): Made {
  try {
    return make()
  } catch (error) {
    // The caller gets the cause, not a later error of closing.
    end().catch(() => {})
    throw error
  }
}

/** @throws ConfigError unless there is one origin per app */
function regions(apps: readonly App[], origins: readonly string[]): readonly App[] {
  const bad = origins.find((url) => !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
  if (bad !== undefined) throw new ConfigError('gateway', 'origin', 'URLs such as https://prices.example', bad)
  if (origins.length !== apps.length)
    throw new ConfigError('gateway', 'origin', `one URL for each of ${apps.length} apps`, origins)
  return apps.map((app, index) => regional(app, origins[index] ?? ''))
}

function portOf(port: number | readonly number[], index: number): number {
  if (typeof port !== 'number') return port[index] ?? 0
  return port === 0 ? 0 : port + index
}

/** Chooses the backend: what this process shares, and with whom. */
function backendOf(
  options: GatewayOptions,
  { clock, emit, node }: Pick<PipelineParts, 'clock' | 'emit' | 'node'>,
): Backend {
  const { memory, redis, redisCa, prefix } = readOptions('gateway', GATEWAY_OPTIONS, options)
  const report = (where: string) => (error: unknown) => emit({ type: 'failed', where, error })
  const carrier = options.worker?.carrier
  if (carrier !== undefined) return clusterBackend({ carrier, clock, report: report('cluster') })
  const own = memoryBackend(clock, memory)
  if (redis === undefined) return own
  const entry = redisEntry(redis, redisCa)
  const mixed = (upstream: string, limits: readonly MeterLimit[]) =>
    emit({ type: 'budget.mixed', upstream, limits: shownLimits(limits) })
  const unknown = report('redis')
  const failed = (error: unknown) => {
    const reason = redisFault(error)
    if (reason === undefined) unknown(error)
    else emit({ type: 'backend.failed', backend: 'redis', reason })
  }
  return withFallback(redisBackend({ ...entry, prefix, node, clock, report: failed, mixed }), own)
}
