import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { Emit } from '../events.ts'

/** A failing dependency of the gateway. It contains names that apps declare, but no addresses and no responses. */
export interface Trouble {
  /** The kind of dependency: an upstream, a feed, the push connection of a feed, or the backend that nodes share. */
  readonly of: 'upstream' | 'feed' | 'push' | 'backend'
  readonly name: string
  /**
   * `failing`: calls fail or time out; `refused`: it rejects the API key; `spent`: an API key has no quota left; `resting`: it asked to
   * slow down; `disconnected`: the push connection or the backend is down; `stale`: watched values are stale, for `reason`.
   */
  readonly state: 'failing' | 'refused' | 'spent' | 'resting' | 'disconnected' | 'stale'
  /** How long it has lasted, in whole seconds. */
  readonly seconds: number
  readonly reason?: string
}

/** Detects failing dependencies from events. */
export interface Troubles {
  readonly observe: Emit
  /** The current troubles. */
  now(): readonly Trouble[]
}

/** Number of recent outcomes considered. Half of them must be bad, so that one caller's faulty requests are no trouble. */
const OUTCOMES = 6

/** How long an outcome counts, in milliseconds. An upstream without calls has no known state. */
const OUTCOME_LIFETIME = 60_000

/** Time without a failure after which the backend has recovered, in milliseconds. Each node probes it every five seconds. */
const BACKEND_RECOVERY = 8000

/** How long values must be stale to count, in milliseconds. A value may be stale until the first response after a client subscribes. */
const STALE_TOLERANCE = 2000

const STATES: Partial<Record<ErrorCode, Trouble['state']>> = {
  upstream_failed: 'failing',
  upstream_timeout: 'failing',
  upstream_invalid: 'failing',
  upstream_refused: 'refused',
  upstream_quota_exhausted: 'spent',
  upstream_limited: 'resting',
}

interface Outcome {
  readonly at: number
  /** Undefined after a success. */
  readonly bad: Trouble['state'] | undefined
}

interface Upstream {
  outcomes: readonly Outcome[]
  /** When the pause requested by the upstream ends. */
  pausedUntil: number
  spentUntil: number
  /** When the trouble began. */
  since: number | undefined
}

export function createTroubles(clock: Clock): Troubles {
  const upstreams = new Map<string, Upstream>()
  let backend:
    | { readonly since: number; readonly seen: number; readonly name: string; readonly reason: string }
    | undefined
  /** Feeds without a push connection: when they lost it, and the last report. */
  const lost = new Map<string, { readonly since: number; readonly seen: number }>()
  /** Stale watched values, by feed and topic. */
  const stale = new Map<string, Map<string, { readonly since: number; readonly reason: string }>>()

  function upstreamOf(name: string): Upstream {
    const known = upstreams.get(name) ?? { outcomes: [], pausedUntil: 0, spentUntil: 0, since: undefined }
    upstreams.set(name, known)
    return known
  }

  function note(name: string, bad: Outcome['bad']): void {
    const upstream = upstreamOf(name)
    const at = clock.monotonic()
    upstream.outcomes = [...upstream.outcomes.slice(1 - OUTCOMES), { at, bad }]
    if (bad === undefined) settle(upstream)
    else upstream.since ??= at
  }

  function settle(upstream: Upstream): void {
    if (stateOf(upstream) === undefined) upstream.since = undefined
  }

  function stateOf({ outcomes, pausedUntil, spentUntil }: Upstream): Trouble['state'] | undefined {
    const now = clock.monotonic()
    const recent = outcomes.filter(({ at }) => now - at < OUTCOME_LIFETIME)
    const bad = recent.filter(({ bad }) => bad !== undefined)
    if (bad.length > 0 && bad.length * 2 >= recent.length) return bad.at(-1)?.bad
    if (pausedUntil > now) return 'resting'
    return spentUntil > now ? 'spent' : undefined
  }

  function ofUpstream(name: string, upstream: Upstream): readonly Trouble[] {
    const state = stateOf(upstream)
    if (state === undefined) upstream.since = undefined
    return state === undefined ? [] : [{ of: 'upstream', name, state, seconds: secondsSince(upstream.since) }]
  }

  function secondsSince(moment: number | undefined): number {
    return moment === undefined ? 0 : Math.floor((clock.monotonic() - moment) / 1000)
  }

  function noteStale(feed: string, topic: string, reason: string | undefined): void {
    const topics = stale.get(feed) ?? new Map()
    if (reason === undefined) topics.delete(topic)
    else topics.set(topic, { since: clock.monotonic(), reason })
    if (topics.size === 0) stale.delete(feed)
    else stale.set(feed, topics)
  }

  /** Reports how many values of a feed are stale, and the reason of the first one. */
  function ofFeed(name: string, topics: ReadonlyMap<string, { since: number; reason: string }>): readonly Trouble[] {
    // Insertion order: the value that became stale first is the first one.
    const [first] = topics.values()
    if (first === undefined || clock.monotonic() - first.since < STALE_TOLERANCE) return []
    const reason = `${topics.size} watched ${topics.size === 1 ? 'value' : 'values'}: ${first.reason}`
    return [{ of: 'feed', name, state: 'stale', seconds: secondsSince(first.since), reason }]
  }

  /** The trouble of the backend, which repeats its failure event while it lasts. */
  function backendNow(): typeof backend {
    if (backend !== undefined && clock.monotonic() - backend.seen >= BACKEND_RECOVERY) backend = undefined
    return backend
  }

  function ofBackend(): readonly Trouble[] {
    const { since, name, reason } = backendNow() ?? {}
    if (name === undefined) return []
    return [{ of: 'backend', name, state: 'disconnected', seconds: secondsSince(since), ...(reason && { reason }) }]
  }

  return {
    observe(event) {
      const now = clock.monotonic()
      switch (event.type) {
        case 'pool.answered':
          // An error about the request, such as 404, comes from a healthy upstream.
          if (event.status < 500 && ![401, 403, 418, 429].includes(event.status)) note(event.upstream, undefined)
          break
        case 'attempt.failed': {
          const state = STATES[event.code]
          if (state !== undefined) note(event.upstream, state)
          break
        }
        case 'attempt.skipped':
          note(event.provider, 'failing')
          break
        case 'budget.closed': {
          const upstream = upstreamOf(event.upstream)
          upstream.since ??= now
          if (Number.isFinite(event.for)) upstream.pausedUntil = Math.max(upstream.pausedUntil, now + event.for)
          else upstream.spentUntil = now + OUTCOME_LIFETIME
          break
        }
        case 'push.lost':
          lost.set(event.feed, { since: lost.get(event.feed)?.since ?? now, seen: now })
          break
        case 'backend.failed': {
          const { backend: name, reason } = event
          backend = { since: backendNow()?.since ?? now, seen: now, name, reason }
          break
        }
        case 'topic.stale':
          noteStale(event.feed, event.topic, event.stale ? (event.reason ?? '') : undefined)
          break
        case 'push.connected':
          lost.delete(event.feed)
          break
      }
    },

    now() {
      const now = clock.monotonic()
      // Without subscribers, the gateway does not reconnect, and the state is unknown.
      for (const [feed, { seen }] of lost) if (now - seen >= OUTCOME_LIFETIME) lost.delete(feed)
      return [
        ...ofBackend(),
        ...[...upstreams].flatMap(([name, upstream]) => ofUpstream(name, upstream)),
        ...[...stale].flatMap(([name, topics]) => ofFeed(name, topics)),
        ...[...lost].map(
          ([name, { since }]): Trouble => ({ of: 'push', name, state: 'disconnected', seconds: secondsSince(since) }),
        ),
      ]
    },
  }
}

/** Merges the troubles of several processes, and keeps the longest of each. */
export function mergedTroubles(all: readonly (readonly Trouble[])[]): readonly Trouble[] {
  const merged = new Map<string, Trouble>()
  for (const trouble of all.flat()) {
    const key = `${trouble.of} ${trouble.name}`
    const known = merged.get(key)
    if (known === undefined || known.seconds < trouble.seconds) merged.set(key, trouble)
  }
  return [...merged.values()]
}
