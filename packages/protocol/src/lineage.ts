/**
 * A reader that hears nothing acceptable for so long, in milliseconds, while another lineage goes on, starts over with that one.
 */
export const START_OVER_AFTER = 30_000

/** What a reader of one topic knows of the lineages that it met. */
export interface Line {
  /** Of the version that it has; undefined while that is not known, which is another than any that a server names. */
  lineage: string | undefined
  /** Those that it started over from: their larger versions are older values. */
  readonly abandoned: Set<string>
  /** Since when another lineage is refused, and nothing is accepted. */
  refusedAt: number | undefined
}

export function newLine(lineage?: string): Line {
  return { lineage, abandoned: new Set(), refusedAt: undefined }
}

/**
 * `take`: its version decides. `refuse`: it is old, or of a lineage that was left. `restart`: it is old by its version and is taken all the
 * same: the epochs went back, as after a roll-back, or once a clock that ran ahead is right again.
 */
export type Verdict = 'take' | 'refuse' | 'restart'

/**
 * What a reader does with a version. Within one lineage versions only rise, so a node that lags never sets a reader back. Each version that is
 * accepted begins the time anew, so servers of two lineages that answer in turns do not move a reader back and forth.
 *
 * @param order above zero when the version is newer than what the reader has, zero when it is the same, below zero or NaN when it is not
 * @param whole whether the value comes with it: a heartbeat names a version, and can't be taken in the place of another
 * @param now milliseconds on any clock, the same for each call
 */
export function judge(line: Line, lineage: string | undefined, order: number, now: number, whole = true): Verdict {
  const other = lineage !== undefined && lineage !== line.lineage
  if (order >= 0 && !(other && line.abandoned.has(lineage))) {
    // The same version out of another lineage is the same value; only a newer one moves the reader there.
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
