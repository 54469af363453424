import { applyPatch, compareVersions, formatVersion, type Problem, parseVersion } from '@weir/protocol'
import type { IncomingMessage } from './link.ts'

/** What is known of a topic. Entries are never changed, only replaced. Moments are by the server's clock. */
export interface Entry<Value = unknown> {
  /** As it was asked for. */
  readonly topic: string
  /** `epoch:sequence`; of a log the position. Undefined until something came. */
  readonly version: string | undefined
  /** The last one there was; of a log the newest event. */
  readonly value: Value | undefined
  /** When the value became this, milliseconds since 1970; 0 while nothing came. */
  readonly changedAt: number
  /** When the upstream last confirmed it. */
  readonly checkedAt: number
  /** True while nobody can confirm it: the server said so, or nothing was heard of it for long. */
  readonly stale: boolean
  /** Why there is no value now. */
  readonly absent?: string | undefined
  /** Why it can't be had; the last value stays. */
  readonly problem?: Problem | undefined
  /** It is not everybody's: it is kept on no disk, and for no other caller. */
  readonly private?: true | undefined
  /** Of which line of epochs the version is, as the server says. */
  readonly lineage?: string | undefined
  /**
   * The epochs of the server went back, and for half a minute nothing newer came than what was known: this is what the server has now, and what
   * was known before is left behind.
   */
  readonly startedOver?: { readonly version: string | undefined; readonly lineage: string | undefined } | undefined
  /** It is a log. */
  readonly log?: true
  /** Of a log: events after `from`, up to and including `to`, are lost to this reader. */
  readonly gap?: { readonly from: string; readonly to: string } | undefined
}

/** A message about one topic. */
export type TopicMessage = Extract<IncomingMessage, { topic: string }>

/** Above zero when `version` is newer than `had`; NaN when it is no version, so that every comparison with it is false. */
export function order(version: string | undefined, had: string | undefined): number {
  const next = parseVersion(version ?? '')
  const last = parseVersion(had ?? '')
  return next ? (last ? compareVersions(next, last) : 1) : Number.NaN
}

/**
 * The entry after a message, the same one when it says nothing new. Undefined when it is no word on what is had: it is of an older version, or of
 * one that should have come and did not.
 *
 * @param now by the server's clock: no moment is later, also when that clock was ahead for a while
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
  // Streams say it in heartbeats alone; what many values say at once has it beside each.
  const told: boolean | undefined = 'stale' in message ? message.stale : undefined
  if (newer === 0) {
    // A snapshot is said again on joining: a word on whether it could be confirmed only if it is newer than what is had.
    const stale = told ?? (entry.stale && checkedAt <= entry.checkedAt)
    const problem = stale ? entry.problem : undefined
    return { ...entry, checkedAt: Math.max(Math.min(entry.checkedAt, now), checkedAt), stale, problem }
  }
  if (!(newer > 0) || message.type === 'heartbeat') return undefined
  const news = {
    topic,
    version,
    changedAt: Math.min(message.changedAt, now),
    checkedAt,
    stale: told ?? false,
    value: entry.value,
  }
  if (message.type === 'snapshot') return { ...news, ...mark, value: message.value }
  if (message.type === 'absent') return { ...news, ...mark, absent: message.reason }
  if (message.from !== entry.version || entry.absent !== undefined) return undefined
  return { ...news, private: entry.private, value: applyPatch(entry.value, message.patch) }
}

/** The version that a message is about: of a log a position. */
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

/** Whether an entry is news to who has the other: a newer version, or another word on the same one. */
export function follows(entry: Entry, next: Entry): boolean {
  if (next.version !== entry.version) return order(next.version, entry.version) > 0
  return next.checkedAt !== entry.checkedAt || next.stale !== entry.stale || next.problem !== entry.problem
}

/** Offsets of a log have no holes: the gap between two entries of one, which the server did not know of or could not say. */
export function gapBefore(entry: Entry, next: Entry): Entry | undefined {
  const from = entry.version
  if (!next.log || next.gap || !next.version || !from) return undefined
  const to = versionBefore(next.version)
  if (!(order(to, from) > 0)) return undefined
  return { ...entry, version: to, stale: false, log: true, gap: { from, to } }
}
