import type { Bus, Values } from '../ports.ts'
import { subscriptions } from '../subscriptions.ts'
import type { ClusterChannels } from './channels.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import { keptContent, type PrimarySide } from './protocol.ts'

export interface ClusterBusParts {
  readonly line: IpcRpc<PrimarySide>
  readonly channels: ClusterChannels
  readonly values: Values
  readonly report: (error: unknown) => void
}

/** Publications and words, heard in all workers: the primary's memory tells where it writes. */
export function clusterBus({ line, channels, values, report }: ClusterBusParts): Bus {
  const channelOf = (name: string) => name
  return {
    publish: (channel, message) => line.notify('send', [channel, message]),
    broadcast: (channel, word) => line.notify('announce', [channel, word]),
    subscribe: subscriptions({
      channels: channels.of('values'),
      channelOf,
      read: keptContent,
      catchUp: async (topic) => values.read(topic),
      report,
    }),
    onBroadcast: subscriptions({
      channels: channels.of('words'),
      channelOf,
      read: (word) => word,
      catchUp: async () => '',
      report,
    }),
  }
}
