import { hearing } from '../hearing.ts'
import type { Bus, Values } from '../ports.ts'
import type { ClusterChannels } from './channels.ts'
import type { Line } from './line.ts'
import { keptContent, type PrimarySide } from './protocol.ts'

export interface ClusterBusParts {
  readonly line: Line<PrimarySide>
  readonly channels: ClusterChannels
  readonly values: Values
  readonly report: (error: unknown) => void
}

/** Publications and words, heard in all workers: the primary's memory tells where it writes. */
export function clusterBus({ line, channels, values, report }: ClusterBusParts): Bus {
  const channelOf = (name: string) => name
  return {
    publish: (channel, message) => line.tell('send', [channel, message]),
    announce: (channel, word) => line.tell('announce', [channel, word]),
    subscribe: hearing({
      channels: channels.of('values'),
      channelOf,
      read: keptContent,
      catchUp: async (topic) => values.read(topic),
      report,
    }),
    attend: hearing({
      channels: channels.of('words'),
      channelOf,
      read: (word) => word,
      catchUp: async () => '',
      report,
    }),
  }
}
