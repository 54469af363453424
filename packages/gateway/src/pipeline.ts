import { attempt } from './attempt/attempt.ts'
import type { Backend } from './backend/ports.ts'
import { batch } from './batch/batch.ts'
import { type Budget, createBudget } from './budget/budget.ts'
import { type Cache, createCache, type Memory } from './cache/cache.ts'
import type { Next, UpstreamAnswer, UpstreamRequest } from './call.ts'
import type { Clock } from './clock.ts'
import type { Emit } from './events.ts'
import { flight } from './flight/flight.ts'
import { createPool } from './pool/pool.ts'
import type { FeedPlan } from './topic/feed.ts'
import type { ReadPath } from './topic/live-feed.ts'
import { loader } from './topic/load.ts'
import type { Upstream } from './upstream/upstream.ts'

export interface PipelineParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly emit: Emit
  /** This node, as leases name it. */
  readonly node: string
  readonly stretch: () => number
}

/** The path of requests to one provider: its budget and its sockets. All who name it share them. */
export interface ProviderPath {
  readonly upstream: Upstream
  readonly budget: Budget
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  close(): Promise<void>
}

/** budget ─▶ pool ─▶ upstream */
export function providerPath(upstream: Upstream, { backend, clock, emit }: PipelineParts): ProviderPath {
  const { name, settings } = upstream
  const { url, keys, limits, past, pace, concurrency, timeout } = settings
  const plan = { limits, keys: Math.max(1, keys.length), past, pace, timeout }
  const meter = backend.meters.open(name, plan)

  const pool = createPool({ ...settings, upstream: name, url, connections: concurrency, clock, emit })
  const budget = createBudget({ upstream: name, meter, plan, clock, emit, concurrency, keys })
  const send = budget.stage((request) => pool.send(upstream.authorize(request)))

  return { upstream, budget, send, close: () => pool.close() }
}

/** attempt ─▶ one of the providers */
export function requestPath(
  { name, policy }: Upstream,
  paths: readonly ProviderPath[],
  { clock, emit }: PipelineParts,
): RequestPath {
  const providers = paths.map(({ upstream: { name, lag }, send }) => ({
    name,
    send,
    ...(lag === undefined ? {} : { lag }),
  }))
  return attempt({ upstream: name, providers, policy, clock, emit })
}

export type RequestPath = Next<UpstreamRequest, Promise<UpstreamAnswer>>

/** cache ─▶ flight ─▶ batch ─▶ the feed's loader, which sends down the path of requests */
export function readPath(plan: FeedPlan, requests: RequestPath, memory: Memory, parts: PipelineParts): ReadPath {
  const { backend, clock, emit, node, stretch } = parts
  const { name: feed, fresh, stale } = plan
  const { values, leases } = backend
  const keep = fresh + stale + plan.every + plan.linger

  const cache: Cache = createCache({ feed, memory, values, clock, emit, stretch, fresh, stale })
  const knownEpoch = (topic: string) => cache.kept(topic)?.version.epoch ?? 0
  const flown = flight({ feed, node, leases, values, clock, emit, keep, knownEpoch })
  const batched = batch({ feed, most: plan.batch, within: plan.within, bytes: plan.bytes, clock, emit })
  const read = cache.stage(flown(batched(loader(plan, requests, clock))))

  return { read, fresh: cache.fresh, kept: cache.kept, accept: cache.accept, left: cache.left }
}
