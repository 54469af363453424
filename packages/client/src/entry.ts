import { applyPatch, compareVersions, formatVersion, type Problem, parseVersion } from '@weir/protocol'
import type { IncomingMessage } from './link.ts'

/** What a client knows of a topic. Entries are never changed, only replaced. Times are by the server's clock. */
export interface Entry<Value = unknown> {
  /** The topic as requested. */
  readonly topic: string
  /** `epoch:sequence`, or the position in a log. Undefined until the first message. */
  readonly version: string | undefined
  /** The last known value, or the newest event of a log. */
  readonly value: Value | undefined
  /** When the value changed to this, in milliseconds since 1970; 0 before the first message. */
  readonly changedAt: number
  /** When the upstream last confirmed it. */
  readonly checkedAt: number
  /** True while the value is unconfirmed: the server reported it, or no message arrived for long. */
  readonly stale: boolean
  /** Why there is no value. */
  readonly absent?: string | undefined
  /** Why the topic is not available; the last value remains. */
  readonly problem?: Problem | undefined
  /** Set if the entry is private: it is not stored on disk, and dropped when the caller changes. */
  readonly private?: true | undefined
  /** The lineage of the version, as the server names it. */
  readonly lineage?: string | undefined
  /**
   * Set if the epochs of the server went back and nothing newer arrived for half a minute. This entry is the server's
   * current one; the given version and lineage were left.
   */
  readonly startedOver?: { readonly version: string | undefined; readonly lineage: string | undefined } | undefined
  /** Set for a log. */
  readonly log?: true
  /** Lost events of a log: those after `from`, up to and including `to`. */
  readonly gap?: { readonly from: string; readonly to: string } | undefined
}

/** A message about one topic. */
export type TopicMessage = Extract<IncomingMessage, { topic: string }>

/** Positive if `version` is newer than `had`. NaN if it is no version, so that every comparison is false. */
export function order(version: string | undefined, had: string | undefined): number {
  const next = parseVersion(version ?? '')
  const last = parseVersion(had ?? '')
  return next ? (last ? compareVersions(next, last) : 1) : Number.NaN
}

/**
 * Returns the entry after a message, or the same one if nothing changed. Returns undefined if the message does not
 * apply: it has an older version, or builds on one that has not arrived.
 *
 * @param now the server's time: no time in an entry is later, even if that clock was ahead for a while
 */
export function nextEntry(entry: Entry, message: TopicMessage, now = Number.POSITIVE_INFINITY): Entry | undefined {
  const mark = 'private' in message && message.private && { private: message.private }
  if (message.type === 'error') return { ...entry, ...mark, problem: message.problem }
  const { topic } = entry
  if (message.type === 'event') {
    const { position, at, event } = message
    return { topic, version: position, value: event, changedAt: at, checkedAt: at, stale: false, log: true, ...mark }
  }
  if (message.type === 'gap') {
    const { from, to } = message
    return { ...entry, version: to, stale: false, log: true, gap: { from, to } }
  }
  const { version } = message
  const checkedAt = Math.min(message.checkedAt ?? 0, now)
  if (!version) return entry
  const newer = order(version, entry.version)
  // Streams report staleness in heartbeats; `/weir/values` has it with each value.
  const reportedStale: boolean | undefined = 'stale' in message ? message.stale : undefined
  if (newer === 0) {
    // A snapshot is repeated on joining. It confirms the value only if its confirmation is newer.
    const stale = reportedStale ?? (entry.stale && checkedAt <= entry.checkedAt)
    const problem = stale ? entry.problem : undefined
    return { ...entry, checkedAt: Math.max(Math.min(entry.checkedAt, now), checkedAt), stale, problem }
  }
  if (!(newer > 0) || message.type === 'heartbeat') return undefined
  const changed = {
    topic,
    version,
    changedAt: Math.min(message.changedAt, now),
    checkedAt,
    stale: reportedStale ?? false,
    value: entry.value,
  }
  if (message.type === 'snapshot') return { ...changed, ...mark, value: message.value }
  if (message.type === 'absent') return { ...changed, ...mark, absent: message.reason }
  if (message.from !== entry.version || entry.absent !== undefined) return undefined
  return { ...changed, private: entry.private, value: applyPatch(entry.value, message.patch) }
}

/** The version of a message, or the position for a log. */
export function versionOf(message: TopicMessage): string | undefined {
  if (message.type === 'gap') return message.to
  if (message.type === 'event') return message.position
  return message.type === 'error' ? undefined : message.version
}

/** The position before another. */
export function versionBefore(version = ''): string {
  const { epoch = 0, sequence = 1 } = parseVersion(version) ?? {}
  return formatVersion({ epoch, sequence: sequence - 1 })
}

/** Whether `next` is newer than `entry`: a newer version, or another state of the same one. */
export function follows(entry: Entry, next: Entry): boolean {
  if (next.version !== entry.version) return order(next.version, entry.version) > 0
  return next.checkedAt !== entry.checkedAt || next.stale !== entry.stale || next.problem !== entry.problem
}

/** The gap between two entries of a log, if offsets are missing. The server may not know of it or could not report it. */
export function gapBefore(entry: Entry, next: Entry): Entry | undefined {
  const from = entry.version
  if (!next.log || next.gap || !next.version || !from) return undefined
  const to = versionBefore(next.version)
  if (!(order(to, from) > 0)) return undefined
  return { ...entry, version: to, stale: false, log: true, gap: { from, to } }
}
