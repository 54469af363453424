import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Emit } from '../events.ts'
import { AnswerTally, BUCKETS, ReadTally } from './tallies.ts'

/** What operators count, made from events and from nothing else. */
export interface Metrics {
  readonly observe: Emit
  /** Prometheus text format, the sum of this process and others. */
  text(others: readonly Snapshot[]): Promise<string>
  /** What was counted so far, as it can be sent to other processes. */
  snapshot(): Promise<Snapshot>
  /** What health and the status line show of it. */
  readonly summary: Summary
}

/** What one process counted: each metric with its values, of several processes to be summed. */
export type Snapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What all of these counted together, as of one process that is gone: how it stood with it is no more. */
export function departed(all: readonly Snapshot[]): Promise<Snapshot> {
  return sumOf(all.map((metrics) => metrics.filter(({ type }) => type.toString() !== 'gauge'))).getMetricsAsJSON()
}

function sumOf(all: readonly Snapshot[]): Registry {
  return AggregatorRegistry.aggregate([...all])
}

/** How it stands with one upstream. */
export interface UpstreamHealth {
  readonly name: string
  /** Calls that wait for the budget. */
  readonly queued: number
  /** Calls under way. */
  readonly running: number
}

/** Running totals since start. */
export interface Summary {
  readonly connections: number
  readonly requests: number
  readonly failures: number
  readonly upstreamCalls: number
  readonly upstreamFailures: number
  readonly cacheHits: number
  readonly cacheReads: number
  readonly messages: number
  /** Median and tail of the last answers, in milliseconds. */
  readonly responseTime: { readonly p50: number; readonly p95: number; readonly p99: number }
}

/** How many of the last answers the response times are taken from. */
const REMEMBERED = 1024

/** `upstreams`: how it stands with them at this moment. */
export function createMetrics(upstreams: () => readonly UpstreamHealth[]): Metrics {
  // A registry of its own: two gateways in one process must not count into each other's.
  const registry = new Registry()
  const registers = [registry]
  const answers = new AnswerTally(registry)
  const reads = new ReadTally(registry)
  const calls = new Counter({
    name: 'weir_upstream_calls_total',
    help: 'Calls an upstream answered.',
    labelNames: ['upstream', 'status'],
    registers,
  })
  const failed = new Counter({
    name: 'weir_upstream_failures_total',
    help: 'Attempts that failed.',
    labelNames: ['upstream', 'code'],
    registers,
  })
  const took = new Histogram({
    name: 'weir_upstream_seconds',
    help: 'Time an upstream took.',
    labelNames: ['upstream'],
    buckets: [...BUCKETS],
    registers,
  })
  const waited = new Histogram({
    name: 'weir_budget_wait_seconds',
    help: 'Time a call waited for its place in the budget.',
    labelNames: ['upstream', 'priority'],
    buckets: [...BUCKETS],
    registers,
  })
  const refused = new Counter({
    name: 'weir_budget_refused_total',
    help: 'Calls that found no place before their deadline.',
    labelNames: ['upstream', 'priority'],
    registers,
  })
  const closed = new Counter({
    name: 'weir_budget_closed_total',
    help: 'Times an upstream told us to wait.',
    labelNames: ['upstream'],
    registers,
  })
  const queued = new Gauge({
    name: 'weir_budget_queue',
    help: 'Calls that wait for their place in the budget.',
    labelNames: ['upstream'],
    registers,
  })
  const connections = new Gauge({ name: 'weir_connections', help: 'Live connections.', registers })
  const lagging = new Gauge({
    name: 'weir_connections_lagging',
    help: 'Live connections that read too slowly.',
    registers,
  })
  const messages = new Counter({
    name: 'weir_messages_total',
    help: 'Messages written to live connections.',
    registers,
  })
  const executions = new Counter({
    name: 'weir_graphql_executions_total',
    help: 'Times that a GraphQL subscription was executed, whoever many follow it.',
    labelNames: ['name'],
    registers,
  })
  const changes = new Counter({
    name: 'weir_changes_total',
    help: 'New versions of watched values.',
    labelNames: ['feed'],
    registers,
  })
  const rounds = new Counter({
    name: 'weir_poller_rounds_total',
    help: 'Rounds in which watched values were asked for.',
    labelNames: ['feed'],
    registers,
  })
  const pushes = new Counter({
    name: 'weir_push_total',
    help: 'Connections to upstreams that push: connected, lost, and subscriptions that were refused.',
    labelNames: ['feed', 'outcome'],
    registers,
  })
  const published = new Counter({
    name: 'weir_log_events_total',
    help: 'Events published to logs on this node.',
    labelNames: ['log'],
    registers,
  })
  const cut = new Counter({
    name: 'weir_connections_cut_total',
    help: 'Live connections that were too slow for a log, and were told to come back.',
    registers,
  })
  const admissions = new Counter({
    name: 'weir_admission_refused_total',
    help: 'Calls that were not let in.',
    labelNames: ['code'],
    registers,
  })
  const nodes = new Gauge({
    name: 'weir_nodes',
    help: 'Nodes that share, this one among them.',
    // Each worker counts all of them.
    aggregator: 'max',
    registers,
  })
  nodes.set(1)
  const faults = new Counter({ name: 'weir_faults_total', help: 'Failures inside the gateway.', registers })

  const sums = {
    connections: 0,
    requests: 0,
    failures: 0,
    upstreamCalls: 0,
    upstreamFailures: 0,
    cacheHits: 0,
    cacheReads: 0,
    messages: 0,
  }
  const times = new Float64Array(REMEMBERED)

  const observe: Emit = (event) => {
    switch (event.type) {
      case 'route.answered':
        answers.add(event.app, event.route, event.status, event.took / 1000)
        times[sums.requests % REMEMBERED] = event.took
        sums.requests += 1
        if (event.status >= 500) sums.failures += 1
        break
      case 'cache.read':
        reads.add(event.feed, event.outcome)
        // A poller's refresh asks for what is new on purpose; it says nothing of how well the cache serves.
        if (event.outcome === 'refresh') break
        sums.cacheReads += 1
        if (event.outcome !== 'miss') sums.cacheHits += 1
        break
      case 'pool.answered':
        calls.inc({ upstream: event.upstream, status: event.status })
        took.observe({ upstream: event.upstream }, event.took / 1000)
        sums.upstreamCalls += 1
        break
      case 'attempt.failed':
        failed.inc({ upstream: event.upstream, code: event.code })
        sums.upstreamFailures += 1
        break
      case 'budget.started':
        waited.observe({ upstream: event.upstream, priority: event.priority }, event.waited / 1000)
        break
      case 'budget.refused':
        refused.inc({ upstream: event.upstream, priority: event.priority })
        break
      case 'budget.closed':
        closed.inc({ upstream: event.upstream })
        break
      case 'hub.joined':
        connections.inc()
        sums.connections += 1
        break
      case 'hub.left':
        connections.dec()
        sums.connections -= 1
        break
      case 'hub.lagging':
        lagging.inc()
        break
      case 'hub.caughtUp':
        lagging.dec()
        break
      case 'hub.cut':
        cut.inc()
        break
      case 'hub.written':
        messages.inc(event.messages)
        sums.messages += event.messages
        break
      case 'poller.round':
        rounds.inc({ feed: event.feed })
        break
      case 'push.connected':
      case 'push.lost':
      case 'push.refused':
        pushes.inc({ feed: event.feed, outcome: event.type.slice('push.'.length) })
        break
      case 'graphql.executed':
        executions.inc({ name: event.name })
        break
      case 'topic.changed':
        changes.inc({ feed: event.feed })
        break
      case 'log.published':
        published.inc({ log: event.log })
        break
      case 'admission.refused':
        admissions.inc({ code: event.code })
        break
      case 'nodes.counted':
        nodes.set(event.alive)
        break
      case 'failed':
        faults.inc()
        break
    }
  }

  function snapshot(): Promise<Snapshot> {
    for (const { name, queued: waiting } of upstreams()) queued.set({ upstream: name }, waiting)
    return registry.getMetricsAsJSON()
  }

  return {
    observe,
    snapshot,
    async text(others) {
      const own = await snapshot()
      return others.length === 0 ? registry.metrics() : sumOf([own, ...others]).metrics()
    },
    get summary() {
      const known = times.slice(0, Math.min(sums.requests, REMEMBERED)).sort()
      const at = (share: number) => Math.round((known[Math.floor(known.length * share)] ?? 0) * 100) / 100
      return { ...sums, responseTime: { p50: at(0.5), p95: at(0.95), p99: at(0.99) } }
    },
  }
}
