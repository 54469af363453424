import type { Entry } from '@weir/client'
import { parseVersion } from '@weir/protocol'

/** One transaction of the pot, as `/api/lottery/history` tells it. */
export interface HistoryEvent {
  readonly signature: string
  /** Milliseconds since 1970. */
  readonly at: number
  readonly entries: readonly { readonly wallet: string; readonly tickets: number; readonly amount: number }[]
  readonly draw?: { readonly winner: string; readonly amount: number; readonly tickets: number }
}

/** What one line of the list says. */
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
  /** `missed`: how many transactions; undefined when nobody knows. */
  | { readonly kind: 'gap'; readonly key: string; readonly missed: number | undefined }

export const HISTORY = '/api/lottery/history'

/** Lines that are shown. */
export const MOST_LINES = 12

/** The lines after news of the log, the newest first. */
export function addNews(lines: readonly HistoryLine[], news: Entry<HistoryEvent>): readonly HistoryLine[] {
  if (news.gap !== undefined) {
    const [from, to] = [parseVersion(news.gap.from), parseVersion(news.gap.to)]
    const same = from !== undefined && to !== undefined && from.epoch === to.epoch
    const gap = { kind: 'gap', key: news.gap.to, missed: same ? to.sequence - from.sequence : undefined } as const
    // A history that began anew tells all of it again: what stands here would stand here twice.
    return same ? cut([gap, ...lines]) : [gap]
  }
  if (news.value === undefined) return lines
  const { signature, at, entries, draw } = news.value
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
