import type { Level } from '@weir/protocol'
import type { Answer, AnswerHeaders } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Route } from '../route/router.ts'
import type { Metrics, Snapshot, UpstreamHealth } from './metrics.ts'
import { mergedTroubles, type Trouble } from './troubles.ts'
import type { Fleet, FleetView } from './workers.ts'

export interface HealthRoutesParts {
  readonly metrics: Metrics
  readonly clock: Clock
  readonly level: () => Level
  readonly draining: () => boolean
  /** Time since the last message to live clients, in milliseconds. */
  readonly silence: () => number
  /** Interval of heartbeats, in milliseconds. */
  readonly heartbeat: number
  /** Number of cached entries. */
  readonly cached: () => number
  readonly upstreams: () => readonly UpstreamHealth[]
  /** Failing dependencies of this process. */
  readonly troubles: () => readonly Trouble[]
  /** The live nodes, and their load. */
  readonly nodes: () => readonly object[]
  /** The workers of this machine, if there are any. */
  readonly fleet: Fleet | undefined
}

/** Routes for health checks and metrics, on every site. */
export function healthRoutes(parts: HealthRoutesParts): readonly Route[] {
  const { metrics } = parts
  const started = parts.clock.monotonic()

  const routes: readonly (readonly [path: string, help: string, handle: () => Answer | Promise<Answer>])[] = [
    [
      '/health',
      'Readiness: 503 while the server drains, or when it has stopped sending to its live clients.',
      () => json({ status: readiness(parts) }, readiness(parts) === 'healthy' ? 200 : 503),
    ],
    [
      '/api/health',
      'Detailed health, for operators.',
      async () => json(await health(parts, started), readiness(parts) === 'healthy' ? 200 : 503),
    ],
    [
      '/api/db/health',
      'Health of the database.',
      () =>
        json({
          status: 'healthy',
          database: 'none',
          connections: { active: 0, idle: 0 },
          timestamp: parts.clock.now(),
        }),
    ],
    [
      '/metrics',
      'Metrics in the text format of Prometheus, summed over all workers.',
      async () => whole(await metrics.text(await otherSnapshots(parts)), 'text/plain; version=0.0.4; charset=utf-8'),
    ],
  ]
  return routes.map(([path, help, handle]) => ({
    path,
    help,
    owner: 'the gateway',
    methods: ['GET', 'HEAD'],
    operator: true,
    handle,
  }))
}

/** Silence, in heartbeat intervals, after which a process is unhealthy. Heartbeats alone would be more frequent. */
const SILENCE_LIMIT = 2.5

function readiness({ draining, silence, heartbeat }: HealthRoutesParts): 'healthy' | 'draining' | 'unwell' {
  // Not ready while draining, so that a load balancer sends no new clients.
  if (draining()) return 'draining'
  return silence() > SILENCE_LIMIT * heartbeat ? 'unwell' : 'healthy'
}

/** Counts of the other workers. If they are unavailable, the request fails: a sum that drops looks like a reset. */
async function otherSnapshots({ fleet }: HealthRoutesParts): Promise<readonly Snapshot[]> {
  if (fleet === undefined) return []
  const { workers, departed } = await fleet.view()
  const others = workers.flatMap(({ id, vitals }) => (id === fleet.id || vitals === undefined ? [] : [vitals.metrics]))
  return [departed, ...others]
}

/** All workers; null when the primary does not respond. */
function workersOf(fleet: Fleet, view: FleetView | undefined): unknown {
  return (
    view?.workers.map(({ id, pid, state, uptime, vitals }) => {
      const { connections, rss } = vitals ?? { connections: 0, rss: 0 }
      return { id, pid, state, uptime, connections, rss, ...(id === fleet.id ? { here: true } : {}) }
    }) ?? null
  )
}

/** Troubles of all workers, so that the result does not depend on the worker that answers. */
function troublesOf({ troubles, fleet }: HealthRoutesParts, view: FleetView | undefined): readonly Trouble[] {
  const others = view?.workers.filter(({ id }) => id !== fleet?.id).map(({ vitals }) => vitals?.troubles ?? [])
  return mergedTroubles([troubles(), ...(others ?? [])])
}

async function health(parts: HealthRoutesParts, started: number): Promise<Readonly<Record<string, unknown>>> {
  const { metrics, clock, level, cached, upstreams, nodes, silence } = parts
  const ready = readiness(parts)
  const { summary } = metrics
  const all = upstreams()
  const view = await parts.fleet?.view().catch(() => undefined)
  const troubles = troublesOf(parts, view)
  const degraded = level() !== 'normal' || troubles.length > 0
  const { rss, heapUsed, heapTotal } = process.memoryUsage()
  return {
    status: ready === 'healthy' && degraded ? 'degraded' : ready,
    troubles,
    silence: Math.round(silence()),
    connections: summary.connections,
    queue: all.reduce((sum, { queued }) => sum + queued, 0),
    cacheSize: cached(),
    timestamp: clock.now(),
    level: level(),
    uptime: Math.round((clock.monotonic() - started) / 1000),
    cacheHitRate: share(summary.cacheHits, summary.cacheReads),
    errorRate: share(summary.failures, summary.requests),
    responseTime: summary.responseTime,
    memory: { rss, heapUsed, heapTotal },
    upstreams: all,
    ...(parts.fleet === undefined ? {} : { workers: workersOf(parts.fleet, view) }),
    nodes: nodes(),
  }
}

/** A share from 0 to 1; null when `whole` is 0. */
function share(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000
}

function json(value: unknown, status = 200): Answer {
  return whole(JSON.stringify(value), 'application/json', status)
}

function whole(body: string, type: string, status = 200): Answer {
  const headers: AnswerHeaders = { 'content-type': type, 'cache-control': 'no-store' }
  return { kind: 'whole', status, headers, body }
}
