import { hash } from 'node:crypto'
import { attempt } from './attempt/attempt.ts'
import type { Backend } from './backend/ports.ts'
import { withRestarts } from './backend/restarts.ts'
import { batch } from './batch/batch.ts'
import { type Budget, createBudget } from './budget/budget.ts'
import { createLiveShare, type LiveShare } from './budget/live-share.ts'
import { longestCall } from './budget/running-calls.ts'
import { type Cache, createCache } from './cache/cache.ts'
import type { Memory } from './cache/memory.ts'
import type { Next, UpstreamAnswer, UpstreamRequest } from './call.ts'
import type { Clock } from './clock.ts'
import { WeirError } from './errors.ts'
import type { Emit } from './events.ts'
import { arrival, flight } from './flight/flight.ts'
import { singleFlight } from './flight/single-flight.ts'
import { createPool } from './pool/pool.ts'
import type { FeedPlan } from './topic/feed/feed.ts'
import { contentOf, loader } from './topic/feed/loader.ts'
import type { ProxyPlan } from './topic/proxy/proxy.ts'
import type { ProxyPath } from './topic/proxy/proxy-runtime.ts'
import type { ReadPath } from './topic/read-path.ts'
import { conditional } from './upstream/conditional.ts'
import { decode } from './upstream/decode.ts'
import { maskOf, redact } from './upstream/redact.ts'
import type { Upstream } from './upstream/upstream.ts'

export interface PipelineParts {
  readonly backend: Backend
  readonly clock: Clock
  readonly emit: Emit
  /** The name of this node in leases. */
  readonly node: string
  readonly stretch: () => number
  /** Whether parts that are not essential are suspended now. */
  readonly strained: () => boolean
}

/** The path of requests to one provider: its budget and its connections, shared by all who name it. */
export interface ProviderPath {
  readonly upstream: Upstream
  readonly budget: Budget
  /** The share of the budget for watched values. */
  readonly live: LiveShare
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  close(): Promise<void>
}

/** budget ─▶ conditional ─▶ the upstream's decorators ─▶ redact ─▶ decode ─▶ pool ─▶ upstream */
export function providerPath(upstream: Upstream, { backend, clock, emit }: PipelineParts): ProviderPath {
  const { name, settings, rateLimits } = upstream
  const { url, keys, limits, pastUsage, pace, concurrency, timeout, stall, liveShare } = settings
  const names = keys.map((key) => hash('sha256', key).slice(0, 12))
  const plan = {
    limits,
    keys: Math.max(1, keys.length),
    ...(names.length > 0 && { names }),
    pastUsage,
    pace,
    timeout: longestCall(timeout, stall),
  }
  const meter = backend.meters.open(name, plan)

  const pool = createPool({ ...settings, upstream: name, url, connections: concurrency, clock, emit })
  const budget = createBudget({ upstream: name, meter, plan, clock, emit, concurrency, keys, stall, rateLimits })
  const mask = maskOf(settings.secrets)
  const read = decode({ upstream: name, maxResponse: settings.maxResponse, mask })(pool.send)
  const covered = redact(mask)(read)
  const pooled = (request: UpstreamRequest) => covered(upstream.authorize(request))
  const sent = upstream.below === undefined ? pooled : upstream.below(clock)(pooled)
  const send = budget.stage(settings.conditional ? conditional(sent) : sent)

  const live = createLiveShare(() => budget.rate * liveShare)

  return { upstream, budget, live, send, close: () => pool.close() }
}

/** The path of requests to one of several providers. */
export interface RequestPath {
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  /** The calls per second that a feed gets for watched values, of those it wants. */
  readonly allot: LiveShare['allot']
}

/** The path of a feed without an upstream, whose loader cannot send requests. */
export const NO_REQUESTS: RequestPath = {
  send: () => Promise.reject(new WeirError('internal', 'expected no request of a feed without an upstream')),
  allot: (_who, wish) => wish,
}

/** attempt ─▶ one of the providers */
export function requestPath(
  { name, policy }: Upstream,
  paths: readonly ProviderPath[],
  { clock, emit }: PipelineParts,
): RequestPath {
  const providers = paths.map(({ upstream: { name, lag, settings }, send }) => ({
    name,
    send,
    keyed: settings.keyed,
    ...(lag === undefined ? {} : { lag }),
  }))
  return {
    send: attempt({ upstream: name, providers, policy, clock, emit }),
    // Only the first provider counts: the others are reserved for its failure.
    allot: (who, wish) => paths[0]?.live.allot(who, wish) ?? wish,
  }
}

/** cache ─▶ flight ─▶ batch ─▶ the feed's loader, which sends down the path of requests */
export function readPath(plan: FeedPlan, requests: RequestPath, memory: Memory, parts: PipelineParts): ReadPath {
  const { backend, clock, emit, node, stretch, strained } = parts
  const { name: feed, freshness } = plan
  const { leases, bus } = backend
  const { values, holds } = withRestarts(backend.values, { feed, clock, emit })
  const { fresh, stale, staleIfError } = freshness
  const keep = fresh + Math.max(stale, staleIfError) + plan.every + plan.linger
  const resting = () => !plan.essential && strained()

  const cache: Cache = createCache({ feed, memory, values, clock, emit, stretch, resting, freshness })
  const flying = { feed, node, leases, values, bus, clock, emit, keep, known: cache.kept, order: plan.order }
  const flown = flight(flying)
  const batched = batch({ feed, most: plan.batch, within: plan.within, bytes: plan.bytes, clock, emit })
  const read = cache.stage(flown(batched(loader(plan, requests.send, clock, emit))))

  const arrived = arrival(flying)
  async function put(topic: string, value: unknown) {
    const content = await contentOf(plan, value)
    if (content instanceof Error) throw content
    return arrived(topic, content)
  }

  return { ...cache, read, put, holds, resting, allot: (wish) => requests.allot(plan, wish) }
}

/** flight ─▶ the path of requests. A proxy's cached answers share the memory of the feeds. */
export function proxyPath(
  { name: feed }: ProxyPlan,
  { send }: RequestPath,
  memory: Memory,
  parts: PipelineParts,
): ProxyPath {
  const { clock, emit } = parts
  return { send, shelf: memory.entries, share: (start) => singleFlight({ feed, clock, emit, start }) }
}
