import type { MeterLimit, MeterPlan } from '../ports.ts'

// All times are milliseconds.

/** Starts are granted at most this far ahead: a node that stops then wastes little. */
export const HORIZON = 50

/** A grant is used within this time of its moment, or not at all: its place is held for that long. */
export const SLACK = 100

/** A node that received no reply for this long counts as absent. It sends a request this often, even if it wants nothing. */
export const PRESENCE = 3000
const BEAT = 1000

/**
 * A node gets its first grant when all others know of it, or this long after it came: after two beats, every node that lives has
 * received the list with it. After a loss, a node whose last reply is older than this may not know of all nodes that had grants.
 */
export const JOIN_DELAY = 2 * BEAT

/**
 * A node that is cut off spends its own share for exactly this long after its last reply. To the others it looks like a dead
 * node, so they take its share back once its last call must be over. A shorter time frees a dead node's share sooner, a longer
 * one outlives a longer outage of Redis.
 */
const ISOLATION = 600_000

/** What the upstream said is left is out of date after this. */
export const REMAINING_TTL = 100

/** How soon to ask again when Redis can't be reached. */
export const RETRY = 100

/** A node without a share refuses calls when Redis has been unreachable for this long, instead of letting them wait. */
export const UNAVAILABLE_AFTER = 1000

/** The longest that a call may take, unless the plan says. */
const TIMEOUT = 10_000

/** The times that follow from a plan. */
export interface MeterTiming {
  readonly slack: number
  /** How long a call's place is held if no end is reported. */
  readonly hold: number
  readonly beat: number
  /** How long reports may wait for the next request. */
  readonly flushAfter: number
  /** As `ISOLATION`; 0 where no node may spend a share of its own. */
  readonly isolationLimit: number
}

export function timingOf({ limits, timeout = TIMEOUT }: MeterPlan, slack = SLACK): MeterTiming {
  const hold = slack + timeout
  return {
    slack,
    hold,
    beat: Math.min(BEAT, hold / 4),
    flushAfter: Math.min(HORIZON, Math.min(...limits.map(({ window }) => window)) / 4),
    // With a window that long there is no time left to be isolated in, so nobody is left a share.
    isolationLimit: expiryOf(limits, hold) < ISOLATION ? ISOLATION : 0,
  }
}

/** How long after its last reply all that a node was granted has expired, and the others leave it its share. */
export function expiryOf(limits: readonly MeterLimit[], hold: number): number {
  return PRESENCE + Math.max(...limits.map(({ window }) => window)) + hold
}
