/**
 * After this many milliseconds without an acceptable version, while another lineage continues, a reader starts over
 * with that lineage.
 */
export const START_OVER_AFTER = 30_000

/** The lineages that a reader of one topic has met. */
export interface Line {
  /** The lineage of its version. Undefined if unknown, which differs from every lineage that a server names. */
  lineage: string | undefined
  /** Lineages that it left. Their larger versions are older values. */
  readonly abandoned: Set<string>
  /** When it began to refuse another lineage without accepting anything. */
  refusedAt: number | undefined
}

export function newLine(lineage?: string): Line {
  return { lineage, abandoned: new Set(), refusedAt: undefined }
}

/**
 * `take`: accepted by its version. `refuse`: older, or of a lineage that was left. `restart`: accepted although its
 * version is smaller, because the epochs went back, as after a rollback or a corrected clock.
 */
export type Verdict = 'take' | 'refuse' | 'restart'

/**
 * Decides what a reader does with a version. Within one lineage versions only rise, so a lagging node never sets a
 * reader back. Each accepted version restarts the wait, so servers of two lineages that answer in turns do not move a
 * reader back and forth.
 *
 * @param order positive if the version is newer than the reader's, zero if equal, otherwise negative or NaN
 * @param whole whether the value comes with it; a heartbeat has only a version, which cannot replace another value
 * @param now milliseconds on any clock, the same for each call
 */
export function judge(line: Line, lineage: string | undefined, order: number, now: number, whole = true): Verdict {
  const other = lineage !== undefined && lineage !== line.lineage
  if (order >= 0 && !(other && line.abandoned.has(lineage))) {
    // The same version in another lineage is the same value; only a newer one moves the reader there.
    if (order > 0) line.lineage = lineage
    line.lineage ??= lineage
    line.refusedAt = undefined
    return 'take'
  }
  if (!other) return 'refuse'
  line.refusedAt ??= now
  if (!whole || now - line.refusedAt < START_OVER_AFTER) return 'refuse'
  if (line.lineage !== undefined) line.abandoned.add(line.lineage)
  line.abandoned.delete(lineage)
  line.lineage = lineage
  line.refusedAt = undefined
  return 'restart'
}
