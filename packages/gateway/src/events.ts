import type { Level } from '@weir/protocol'
import type { ErrorCode } from './errors.ts'

/** The priority of a call. A higher class goes first to the upstream's budget. */
export type Priority = 'interactive' | 'live' | 'background'

/** The result of a cache look-up. */
export type CacheOutcome = 'hit' | 'stale' | 'miss' | 'refresh'

/**
 * The events of the stages. Metrics, health, the status line and logs are derived from them and from nothing else.
 * Times are milliseconds.
 */
export type WeirEvent =
  | { readonly type: 'cache.read'; readonly feed: string; readonly outcome: CacheOutcome }
  | { readonly type: 'flight.joined'; readonly feed: string; readonly waiters: number }
  | { readonly type: 'flight.aborted'; readonly feed: string }
  | { readonly type: 'batch.sent'; readonly feed: string; readonly keys: number }
  | {
      readonly type: 'attempt.chosen'
      readonly upstream: string
      readonly provider: string
      readonly by: 'order' | 'score'
    }
  | { readonly type: 'attempt.skipped'; readonly upstream: string; readonly provider: string; readonly reason: string }
  | { readonly type: 'attempt.hedged'; readonly upstream: string; readonly provider: string }
  | { readonly type: 'attempt.retried'; readonly upstream: string; readonly after: number }
  | {
      readonly type: 'attempt.failed'
      readonly upstream: string
      readonly code: ErrorCode
      readonly detail: string
      /** The cause, which clients do not see, and the id under which they can report it. */
      readonly cause?: unknown
      readonly requestId?: string | undefined
    }
  | { readonly type: 'budget.started'; readonly upstream: string; readonly waited: number; readonly priority: Priority }
  | {
      readonly type: 'budget.refused'
      readonly upstream: string
      readonly priority: Priority
      readonly retryAfter: number
    }
  | { readonly type: 'budget.closed'; readonly upstream: string; readonly for: number; readonly reason: string }
  /**
   * Nodes share the upstream with different limits, as versions of an app do during a deploy. The strictest of all
   * apply.
   */
  | { readonly type: 'budget.mixed'; readonly upstream: string; readonly limits: string }
  | {
      readonly type: 'pool.answered'
      readonly upstream: string
      readonly status: number
      readonly took: number
      readonly bytes: number
    }
  | { readonly type: 'pool.failed'; readonly upstream: string; readonly code: ErrorCode; readonly took: number }
  | { readonly type: 'topic.changed'; readonly feed: string; readonly topic: string }
  /** The origin's epochs went back, and the topic continues with the origin's current data. */
  | { readonly type: 'topic.restarted'; readonly feed: string; readonly topic: string }
  /** A watched value became stale, with the reason; or it is no longer stale, or no longer watched. */
  | {
      readonly type: 'topic.stale'
      readonly feed: string
      readonly topic: string
      readonly stale: boolean
      readonly reason?: string
    }
  | { readonly type: 'log.published'; readonly log: string }
  | {
      readonly type: 'poller.round'
      readonly feed: string
      readonly keys: number
      readonly failed: number
      readonly took: number
    }
  | { readonly type: 'push.connected'; readonly feed: string }
  | { readonly type: 'push.lost'; readonly feed: string; readonly why: string }
  | { readonly type: 'push.refused'; readonly feed: string; readonly topic: string; readonly reason: string }
  | { readonly type: 'hub.joined' }
  | { readonly type: 'hub.left' }
  | { readonly type: 'hub.lagging' }
  | { readonly type: 'hub.caughtUp' }
  | { readonly type: 'hub.cut' }
  | { readonly type: 'hub.written'; readonly messages: number; readonly connections: number }
  | { readonly type: 'admission.refused'; readonly code: ErrorCode }
  | { readonly type: 'admission.level'; readonly level: Level; readonly reason: string }
  | {
      readonly type: 'route.answered'
      readonly app: string
      readonly route: string
      readonly status: number
      readonly took: number
    }
  | { readonly type: 'graphql.executed'; readonly name: string; readonly topic: string }
  /** The shared backend is unusable. `reason` contains no address. */
  | { readonly type: 'backend.failed'; readonly backend: 'redis'; readonly reason: string }
  /** Nodes that share the backend, including this one. */
  | { readonly type: 'nodes.counted'; readonly alive: number }
  | { readonly type: 'failed'; readonly where: string; readonly error: unknown }

/** Sends an event to the observers. It never throws and never waits. */
export type Emit = (event: WeirEvent) => void
