import type { Level } from '@weir/protocol'
import type { Answer, AnswerHeaders } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Route } from '../route/router.ts'
import type { Metrics, Snapshot, UpstreamHealth } from './metrics.ts'
import { mergedTroubles, type Trouble } from './troubles.ts'
import type { Fleet, FleetView } from './workers.ts'

export interface OperationsParts {
  readonly metrics: Metrics
  readonly clock: Clock
  readonly level: () => Level
  readonly draining: () => boolean
  /** Milliseconds since anything was said to those who listen, and the longest that may be. */
  readonly silence: () => number
  readonly heartbeat: number
  /** Entries in memory. */
  readonly kept: () => number
  readonly upstreams: () => readonly UpstreamHealth[]
  /** What of what this process depends on does not work. */
  readonly troubles: () => readonly Trouble[]
  /** Who is alive, and with which load. */
  readonly nodes: () => readonly object[]
  /** The workers of this machine, where there are some. */
  readonly fleet: Fleet | undefined
}

/** The addresses that the gateway owns on every site. */
export function operations(parts: OperationsParts): readonly Route[] {
  const { metrics } = parts
  const started = parts.clock.monotonic()

  const routes: readonly (readonly [path: string, help: string, handle: () => Answer | Promise<Answer>])[] = [
    [
      '/health',
      'Whether it takes clients; 503 while it goes away, or when it does not reach those it has.',
      () => json({ status: readiness(parts) }, readiness(parts) === 'healthy' ? 200 : 503),
    ],
    [
      '/api/health',
      'How it is, for operators.',
      async () => json(await health(parts, started), readiness(parts) === 'healthy' ? 200 : 503),
    ],
    [
      '/api/db/health',
      'How its database is.',
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
      'Metrics in the text format of Prometheus; of several workers the sum.',
      async () => whole(await metrics.text(await counted(parts)), 'text/plain; version=0.0.4; charset=utf-8'),
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

/** A process that runs and no longer delivers is of no use to anybody: heartbeats alone would be more than this silence. */
const MOST_SILENT = 2.5

function readiness({ draining, silence, heartbeat }: OperationsParts): 'healthy' | 'draining' | 'unwell' {
  // Unready first, so that a load balancer sends nobody to a server that is about to go.
  if (draining()) return 'draining'
  return silence() > MOST_SILENT * heartbeat ? 'unwell' : 'healthy'
}

/** What the other workers count. Without them all sums would fall and rise again, so nothing is said when they can't be had. */
async function counted({ fleet }: OperationsParts): Promise<readonly Snapshot[]> {
  if (fleet === undefined) return []
  const { workers, departed } = await fleet.look()
  const others = workers.flatMap(({ id, vitals }) => (id === fleet.id || vitals === undefined ? [] : [vitals.metrics]))
  return [departed, ...others]
}

/** All workers; null when the primary does not say. */
function workersOf(fleet: Fleet, view: FleetView | undefined): unknown {
  return (
    view?.workers.map(({ id, pid, state, uptime, vitals }) => {
      const { connections, rss } = vitals ?? { connections: 0, rss: 0 }
      return { id, pid, state, uptime, connections, rss, ...(id === fleet.id ? { here: true } : {}) }
    }) ?? null
  )
}

/** What does not work, here or for another worker: which of them happens to ask is no difference to clients. */
function troublesOf({ troubles, fleet }: OperationsParts, view: FleetView | undefined): readonly Trouble[] {
  const others = view?.workers.filter(({ id }) => id !== fleet?.id).map(({ vitals }) => vitals?.troubles ?? [])
  return mergedTroubles([troubles(), ...(others ?? [])])
}

async function health(parts: OperationsParts, started: number): Promise<Readonly<Record<string, unknown>>> {
  const { metrics, clock, level, kept, upstreams, nodes, silence } = parts
  const ready = readiness(parts)
  const { summary } = metrics
  const all = upstreams()
  const view = await parts.fleet?.look().catch(() => undefined)
  const troubles = troublesOf(parts, view)
  const degraded = level() !== 'normal' || troubles.length > 0
  const { rss, heapUsed, heapTotal } = process.memoryUsage()
  return {
    status: ready === 'healthy' && degraded ? 'degraded' : ready,
    troubles,
    silence: Math.round(silence()),
    connections: summary.connections,
    queue: all.reduce((sum, { queued }) => sum + queued, 0),
    cacheSize: kept(),
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

/** A share from 0 to 1, null when there is nothing to take it of. */
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
