import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { Emit } from '../events.ts'

/** Something this gateway depends on and that does not work now. It has names that apps declare, and nothing of addresses or answers. */
export interface Trouble {
  /** What it is of: an upstream, a feed, the connection on which values of a feed are pushed, or what the nodes share. */
  readonly of: 'upstream' | 'feed' | 'push' | 'backend'
  readonly name: string
  /**
   * `failing`: its answers are failures, or do not come; `refused`: it refuses our key; `spent`: a key is used up; `resting`: it asked us to wait;
   * `disconnected`: nothing is pushed, or the backend can't be used; `stale`: watched values of it are; `reason` says why.
   */
  readonly state: 'failing' | 'refused' | 'spent' | 'resting' | 'disconnected' | 'stale'
  /** Since when, whole seconds. */
  readonly seconds: number
  readonly reason?: string
}

/** What does not work, made from events and from nothing else. */
export interface Troubles {
  readonly observe: Emit
  /** What does not work at this moment. */
  now(): readonly Trouble[]
}

/** So many outcomes of late are looked at, and half of them bad is trouble: one caller's mistakes among the calls of others are none. */
const OUTCOMES = 6

/** What was not seen for so long is not known any more, in milliseconds: nobody may ask that upstream now. */
const REMEMBERED = 60_000

/** A backend that can't be used fails at least so often, in milliseconds: each node asks it every five seconds. */
const SAID_AGAIN = 8000

/** A value that begins to be watched may be old until its first answer: it is no trouble before it was stale for this long, in milliseconds. */
const STALE_FOR = 2000

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
  /** Undefined for a good one. */
  readonly bad: Trouble['state'] | undefined
}

interface Upstream {
  outcomes: readonly Outcome[]
  /** Until when it asked us to wait, and until when a key that is used up is told. */
  restsUntil: number
  spentUntil: number
  /** Since when there is trouble with it. */
  since: number | undefined
}

export function createTroubles(clock: Clock): Troubles {
  const upstreams = new Map<string, Upstream>()
  /** Feeds that nothing is pushed to: since when, and when that was last seen. */
  let backend:
    | { readonly since: number; readonly seen: number; readonly name: string; readonly reason: string }
    | undefined
  const lost = new Map<string, { readonly since: number; readonly seen: number }>()
  /** Watched values that are stale, by feed and topic. */
  const stale = new Map<string, Map<string, { readonly since: number; readonly reason: string }>>()

  function upstreamOf(name: string): Upstream {
    const known = upstreams.get(name) ?? { outcomes: [], restsUntil: 0, spentUntil: 0, since: undefined }
    upstreams.set(name, known)
    return known
  }

  function note(name: string, bad: Outcome['bad']): void {
    const one = upstreamOf(name)
    const at = clock.monotonic()
    one.outcomes = [...one.outcomes.slice(1 - OUTCOMES), { at, bad }]
    if (bad === undefined) settle(one)
    else one.since ??= at
  }

  function settle(one: Upstream): void {
    if (stateOf(one) === undefined) one.since = undefined
  }

  function stateOf({ outcomes, restsUntil, spentUntil }: Upstream): Trouble['state'] | undefined {
    const now = clock.monotonic()
    const late = outcomes.filter(({ at }) => now - at < REMEMBERED)
    const bad = late.filter(({ bad }) => bad !== undefined)
    if (bad.length > 0 && bad.length * 2 >= late.length) return bad.at(-1)?.bad
    if (restsUntil > now) return 'resting'
    return spentUntil > now ? 'spent' : undefined
  }

  function ofUpstream(name: string, one: Upstream): readonly Trouble[] {
    const state = stateOf(one)
    if (state === undefined) one.since = undefined
    return state === undefined ? [] : [{ of: 'upstream', name, state, seconds: secondsSince(one.since) }]
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

  /** How many of a feed, and why the first of them. */
  function ofFeed(name: string, topics: ReadonlyMap<string, { since: number; reason: string }>): readonly Trouble[] {
    // Those that became so last are at the end.
    const [first] = topics.values()
    if (first === undefined || clock.monotonic() - first.since < STALE_FOR) return []
    const reason = `${topics.size} watched ${topics.size === 1 ? 'value' : 'values'}: ${first.reason}`
    return [{ of: 'feed', name, state: 'stale', seconds: secondsSince(first.since), reason }]
  }

  /** It is said again and again for as long as it lasts. */
  function backendNow(): typeof backend {
    if (backend !== undefined && clock.monotonic() - backend.seen >= SAID_AGAIN) backend = undefined
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
          // What is told of a request, such as 404, is told by an upstream that is well.
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
          const one = upstreamOf(event.upstream)
          one.since ??= now
          if (Number.isFinite(event.for)) one.restsUntil = Math.max(one.restsUntil, now + event.for)
          else one.spentUntil = now + REMEMBERED
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
      // One that nobody wants any more is not tried again.
      for (const [feed, { seen }] of lost) if (now - seen >= REMEMBERED) lost.delete(feed)
      return [
        ...ofBackend(),
        ...[...upstreams].flatMap(([name, one]) => ofUpstream(name, one)),
        ...[...stale].flatMap(([name, topics]) => ofFeed(name, topics)),
        ...[...lost].map(
          ([name, { since }]): Trouble => ({ of: 'push', name, state: 'disconnected', seconds: secondsSince(since) }),
        ),
      ]
    },
  }
}

/** The troubles of several processes, each once: that of longest standing. */
export function mergedTroubles(all: readonly (readonly Trouble[])[]): readonly Trouble[] {
  const merged = new Map<string, Trouble>()
  for (const trouble of all.flat()) {
    const key = `${trouble.of} ${trouble.name}`
    const known = merged.get(key)
    if (known === undefined || known.seconds < trouble.seconds) merged.set(key, trouble)
  }
  return [...merged.values()]
}
