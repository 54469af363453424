import type { ErrorCode } from '../../errors.ts'

/** Why a value could not be had. `behind`: what the upstream answers is older than what is known. */
export type Failing = ErrorCode | 'behind'

/** What is known of a value when its staleness is judged. Moments on the monotonic clock, times in milliseconds. */
export interface Facts {
  /** Until when it is fresh. */
  readonly freshUntil: number
  /** For how long beyond its age its source has said that it holds. */
  readonly held: number
  /** How often it is asked for, how long its last answer took, and for how long it was left alone before that. */
  readonly every: number
  readonly took: number
  readonly gap: number
  /** When it was said to be another now, until an answer brings that. */
  readonly changedAt: number | undefined
  /** The last failure, unless a value came since. */
  readonly failing: Failing | undefined
  /** Whether its source says that it can't be confirmed. */
  readonly refuted: boolean
  /** From when on the first of the values that it is made of is stale. */
  readonly partsFrom: number
}

/**
 * From when on a value is stale. One missed round is noise: it is stale when two were missed, when it is known to be another and that can't be
 * had, and whenever one of the values that it is made of is stale.
 */
export function staleFrom(facts: Facts): number {
  const { freshUntil, held, every, took, gap, changedAt, failing, refuted, partsFrom } = facts
  if (refuted || (changedAt !== undefined && failing !== undefined)) return Number.NEGATIVE_INFINITY
  const missed = freshUntil + held + 2 * Math.max(every, took, gap)
  const superseded = changedAt === undefined ? Number.POSITIVE_INFINITY : changedAt + 2 * every
  return Math.min(missed, superseded, partsFrom)
}

/** Why a value that is stale at this moment is so, in words for operators. */
export function staleReason({ failing, refuted, partsFrom, changedAt }: Facts, now: number): string {
  if (refuted) return 'the origin can not confirm them'
  if (partsFrom < now) return 'a value that they are made of is stale'
  if (failing === 'behind') return 'the upstream answers older values than before'
  if (failing !== undefined) return `refreshing them fails (${failing})`
  return changedAt === undefined ? 'no answer has confirmed them in time' : 'they changed, and no answer says to what'
}
