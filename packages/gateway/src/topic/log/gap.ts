import type { Version } from '@weir/protocol'
import type { LogHistory } from '../../backend/ports.ts'

/**
 * Up to where events are missing for a reader that has come to `known`; undefined when all that followed is there. Of another
 * epoch nothing is known, so all of it counts as missing.
 */
export function gapAfter(known: Version, log: Omit<LogHistory, 'events'>): Version | undefined {
  const { epoch, oldest, newest } = log
  if (known.epoch !== epoch || known.sequence < oldest - 1) return { epoch, sequence: oldest - 1 }
  // A position that was never given: it was made up, or the log lost its end.
  return known.sequence > newest ? { epoch, sequence: newest } : undefined
}
