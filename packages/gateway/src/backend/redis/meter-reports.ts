import type { Remaining } from '../../rate-limit-signal.ts'
import type { Grant } from '../ports.ts'
import type { EndedCall, RunningCall } from './meter-calls.ts'
import type { Paused } from './take.ts'

/** What the next request reports. Each item is sent again until a reply was received. */
export interface MeterReports {
  ended: readonly EndedCall[]
  cancelled: readonly Grant[]
  pauses: readonly { readonly until: number; readonly of: Paused }[]
  /** Keys that are used up. */
  exhausted: readonly { readonly key: number }[]
  remaining: readonly (Remaining & { readonly key: number; readonly at: number })[]
  /** After a loss: the calls that still count, and the nodes that were there. */
  replay: readonly (EndedCall | RunningCall)[]
  members: readonly string[]
  backOff: boolean
  clockJumped: boolean
}

export function noReports(): MeterReports {
  return {
    ended: [],
    cancelled: [],
    pauses: [],
    exhausted: [],
    remaining: [],
    replay: [],
    members: [],
    backOff: false,
    clockJumped: false,
  }
}

/** Whether there is something to report even if no grant is wanted. What is left goes with the next request. */
export function isUrgent({ remaining, backOff, clockJumped, ...lists }: MeterReports): boolean {
  return backOff || clockJumped || Object.values(lists).some(({ length }) => length > 0)
}

/** Removes what was sent. Items that came while the request was under way stay for the next. */
export function removeSent(reports: MeterReports, sent: MeterReports): void {
  reports.ended = without(reports.ended, sent.ended)
  reports.cancelled = without(reports.cancelled, sent.cancelled)
  reports.pauses = without(reports.pauses, sent.pauses)
  reports.exhausted = without(reports.exhausted, sent.exhausted)
  reports.remaining = without(reports.remaining, sent.remaining)
  reports.replay = without(reports.replay, sent.replay)
  reports.members = without(reports.members, sent.members)
  if (sent.backOff) reports.backOff = false
  if (sent.clockJumped) reports.clockJumped = false
}

function without<Item>(all: readonly Item[], sent: readonly Item[]): readonly Item[] {
  if (sent.length === 0) return all
  const known = new Set(sent)
  return all.filter((one) => !known.has(one))
}
