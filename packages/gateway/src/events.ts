import type { Level } from '@weir/protocol'
import type { ErrorCode } from './errors.ts'

/** How urgent an ask is. A better class goes first to the upstream's budget. */
export type Priority = 'interactive' | 'live' | 'background'

/** Why the cache answered as it did. */
export type CacheOutcome = 'hit' | 'stale' | 'miss' | 'refresh'

/**
 * What the stages tell. Metrics, health, the status line and logs are made from these and from nothing else.
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
      /** What clients are not told, and the id by which they name it. */
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
  /** Nodes share it with different limits, as versions of an app do for a while: of all of them the stricter hold. */
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
  /** The epochs of the origin went back, and the topic goes on with what the origin has now. */
  | { readonly type: 'topic.restarted'; readonly feed: string; readonly topic: string }
  /** A watched value became stale, and why; or it is so no more, or not watched any more. */
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
  /** What the nodes share can't be used; `reason` names no address. */
  | { readonly type: 'backend.failed'; readonly backend: 'redis'; readonly reason: string }
  /** Nodes that share, this one among them. */
  | { readonly type: 'nodes.counted'; readonly alive: number }
  | { readonly type: 'failed'; readonly where: string; readonly error: unknown }

/** Hands an event to whoever observes. It never throws and never waits. */
export type Emit = (event: WeirEvent) => void
