import type { Emit } from '../events.ts'
import { Instrument, type InstrumentPlan, type Samples } from './instrument.ts'

/** What operators count, made from events and from nothing else. */
export interface Metrics {
  readonly observe: Emit
  /** Prometheus text format, the sum of this process and others. */
  text(others: readonly Snapshot[]): Promise<string>
  /** What was counted so far, as it can be sent to other processes. */
  snapshot(): Snapshot
  /** What health and the status line show of it. */
  readonly summary: Summary
}

/** The counts of one process: each metric with its values. Those of several processes can be summed. */
export type Snapshot = readonly Samples[]

/** The sum of what several processes counted, of which one is gone: its gauges count no more. */
export async function departed(all: readonly Snapshot[]): Promise<Snapshot> {
  const lasting = all.map((metrics) => metrics.filter(({ type }) => type !== 'gauge'))
  return (await sumOf(lasting)).getMetricsAsJSON()
}

/** prom-client takes 17 MB, so it is loaded at the first scrape. */
async function sumOf(all: readonly Snapshot[]) {
  const { AggregatorRegistry } = await import('prom-client')
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

/** All that is counted. */
const PLANS = {
  requests: {
    name: 'weir_requests_total',
    help: 'Answers to clients.',
    type: 'counter',
    labels: ['app', 'route', 'status'],
  },
  seconds: {
    name: 'weir_request_seconds',
    help: 'Time to answer a client.',
    type: 'histogram',
    labels: ['app', 'route'],
  },
  reads: {
    name: 'weir_cache_reads_total',
    help: 'Reads by what the cache made of them.',
    type: 'counter',
    labels: ['feed', 'outcome'],
  },
  calls: {
    name: 'weir_upstream_calls_total',
    help: 'Calls an upstream answered.',
    type: 'counter',
    labels: ['upstream', 'status'],
  },
  failed: {
    name: 'weir_upstream_failures_total',
    help: 'Attempts that failed.',
    type: 'counter',
    labels: ['upstream', 'code'],
  },
  took: {
    name: 'weir_upstream_seconds',
    help: 'Time an upstream took.',
    type: 'histogram',
    labels: ['upstream'],
  },
  waited: {
    name: 'weir_budget_wait_seconds',
    help: 'Time a call waited for its place in the budget.',
    type: 'histogram',
    labels: ['upstream', 'priority'],
  },
  refused: {
    name: 'weir_budget_refused_total',
    help: 'Calls that found no place before their deadline.',
    type: 'counter',
    labels: ['upstream', 'priority'],
  },
  closed: {
    name: 'weir_budget_closed_total',
    help: 'Times an upstream told us to wait.',
    type: 'counter',
    labels: ['upstream'],
  },
  queued: {
    name: 'weir_budget_queue',
    help: 'Calls that wait for their place in the budget.',
    type: 'gauge',
    labels: ['upstream'],
  },
  connections: {
    name: 'weir_connections',
    help: 'Live connections.',
    type: 'gauge',
  },
  lagging: {
    name: 'weir_connections_lagging',
    help: 'Live connections that read too slowly.',
    type: 'gauge',
  },
  messages: {
    name: 'weir_messages_total',
    help: 'Messages written to live connections.',
    type: 'counter',
  },
  executions: {
    name: 'weir_graphql_executions_total',
    help: 'Times that a GraphQL subscription was executed, however many clients follow it.',
    type: 'counter',
    labels: ['name'],
  },
  changes: {
    name: 'weir_changes_total',
    help: 'New versions of watched values.',
    type: 'counter',
    labels: ['feed'],
  },
  rounds: {
    name: 'weir_poller_rounds_total',
    help: 'Rounds in which watched values were polled.',
    type: 'counter',
    labels: ['feed'],
  },
  pushes: {
    name: 'weir_push_total',
    help: 'Connections to upstreams that push: connected, lost, and subscriptions that were refused.',
    type: 'counter',
    labels: ['feed', 'outcome'],
  },
  published: {
    name: 'weir_log_events_total',
    help: 'Events published to logs on this node.',
    type: 'counter',
    labels: ['log'],
  },
  cut: {
    name: 'weir_connections_cut_total',
    help: 'Live connections that were too slow for a log, and were told to come back.',
    type: 'counter',
  },
  admissions: {
    name: 'weir_admission_refused_total',
    help: 'Calls that were not let in.',
    type: 'counter',
    labels: ['code'],
  },
  nodes: {
    name: 'weir_nodes',
    help: 'Nodes that share, this one among them.',
    type: 'gauge',
    // Each worker counts all of them.
    aggregator: 'max',
  },
  faults: {
    name: 'weir_faults_total',
    help: 'Failures inside the gateway.',
    type: 'counter',
  },
} as const satisfies Readonly<Record<string, InstrumentPlan>>

/** `upstreams`: how it stands with them at this moment. */
export function createMetrics(upstreams: () => readonly UpstreamHealth[]): Metrics {
  const instruments = Object.fromEntries(
    Object.entries(PLANS).map(([name, plan]) => [name, new Instrument(plan)]),
  ) as Record<keyof typeof PLANS, Instrument>
  const { nodes, queued, ...counted } = instruments
  nodes.set(1)

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
        counted.requests.add(1, event.app, event.route, event.status)
        counted.seconds.observe(event.took / 1000, event.app, event.route)
        times[sums.requests % REMEMBERED] = event.took
        sums.requests += 1
        if (event.status >= 500) sums.failures += 1
        break
      case 'cache.read':
        counted.reads.add(1, event.feed, event.outcome)
        // A poller's refresh asks for what is new on purpose; it says nothing of how well the cache serves.
        if (event.outcome === 'refresh') break
        sums.cacheReads += 1
        if (event.outcome !== 'miss') sums.cacheHits += 1
        break
      case 'pool.answered':
        counted.calls.add(1, event.upstream, event.status)
        counted.took.observe(event.took / 1000, event.upstream)
        sums.upstreamCalls += 1
        break
      case 'attempt.failed':
        counted.failed.add(1, event.upstream, event.code)
        sums.upstreamFailures += 1
        break
      case 'budget.started':
        counted.waited.observe(event.waited / 1000, event.upstream, event.priority)
        break
      case 'budget.refused':
        counted.refused.add(1, event.upstream, event.priority)
        break
      case 'budget.closed':
        counted.closed.add(1, event.upstream)
        break
      case 'hub.joined':
        counted.connections.add(1)
        sums.connections += 1
        break
      case 'hub.left':
        counted.connections.add(-1)
        sums.connections -= 1
        break
      case 'hub.lagging':
        counted.lagging.add(1)
        break
      case 'hub.caughtUp':
        counted.lagging.add(-1)
        break
      case 'hub.cut':
        counted.cut.add(1)
        break
      case 'hub.written':
        counted.messages.add(event.messages)
        sums.messages += event.messages
        break
      case 'poller.round':
        counted.rounds.add(1, event.feed)
        break
      case 'push.connected':
      case 'push.lost':
      case 'push.refused':
        counted.pushes.add(1, event.feed, event.type.slice('push.'.length))
        break
      case 'graphql.executed':
        counted.executions.add(1, event.name)
        break
      case 'topic.changed':
        counted.changes.add(1, event.feed)
        break
      case 'log.published':
        counted.published.add(1, event.log)
        break
      case 'admission.refused':
        counted.admissions.add(1, event.code)
        break
      case 'nodes.counted':
        nodes.set(event.alive)
        break
      case 'failed':
        counted.faults.add(1)
        break
    }
  }

  function snapshot(): Snapshot {
    for (const { name, queued: waiting } of upstreams()) queued.set(waiting, name)
    return Object.values(instruments).map((instrument) => instrument.samples())
  }

  return {
    observe,
    snapshot,
    text: async (others) => (await sumOf([snapshot(), ...others])).metrics(),
    get summary() {
      const known = times.slice(0, Math.min(sums.requests, REMEMBERED)).sort()
      const at = (share: number) => Math.round((known[Math.floor(known.length * share)] ?? 0) * 100) / 100
      return { ...sums, responseTime: { p50: at(0.5), p95: at(0.95), p99: at(0.99) } }
    },
  }
}
