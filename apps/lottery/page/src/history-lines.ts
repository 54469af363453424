import type { Entry } from '@weir/client'
import { parseVersion } from '@weir/protocol'

/** A transaction of the pot, from `/api/lottery/history`. */
export interface HistoryEvent {
  readonly signature: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly entries: readonly { readonly wallet: string; readonly tickets: number; readonly amount: number }[]
  readonly draw?: { readonly winner: string; readonly amount: number; readonly tickets: number }
}

/** A line of the list. */
export type HistoryLine =
  | {
      readonly kind: 'entry'
      readonly key: string
      readonly at: number
      readonly wallet: string
      readonly tickets: number
    }
  | {
      readonly kind: 'draw'
      readonly key: string
      readonly at: number
      readonly wallet: string
      readonly amount: number
    }
  /** `missed`: the number of missing transactions; undefined if unknown. */
  | { readonly kind: 'gap'; readonly key: string; readonly missed: number | undefined }

export const HISTORY = '/api/lottery/history'

/** Limit of lines. */
export const MOST_LINES = 12

/** Adds an update of the log, newest line first. */
export function addUpdate(lines: readonly HistoryLine[], update: Entry<HistoryEvent>): readonly HistoryLine[] {
  if (update.gap !== undefined) {
    const [from, to] = [parseVersion(update.gap.from), parseVersion(update.gap.to)]
    const same = from !== undefined && to !== undefined && from.epoch === to.epoch
    const gap = { kind: 'gap', key: update.gap.to, missed: same ? to.sequence - from.sequence : undefined } as const
    // A history that restarted sends all its events again, which would duplicate the lines.
    return same ? cut([gap, ...lines]) : [gap]
  }
  if (update.value === undefined) return lines
  const { signature, at, entries, draw } = update.value
  const entered = entries.map(({ wallet, tickets }) => ({
    kind: 'entry' as const,
    key: `${signature} ${wallet}`,
    at,
    wallet,
    tickets,
  }))
  const drawn = draw && ({ kind: 'draw', key: signature, at, wallet: draw.winner, amount: draw.amount } as const)
  return cut([...entered, ...(drawn ? [drawn] : []), ...lines])
}

function cut(lines: readonly HistoryLine[]): readonly HistoryLine[] {
  return lines.slice(0, MOST_LINES)
}
