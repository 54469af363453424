import type { ChannelListener, Channels } from '../subscriptions.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import type { Heard, Kind, News, PrimarySide } from './protocol.ts'

/** What this worker listens to in the primary. */
export interface ClusterChannels {
  /** The channels of a kind. */
  of<Of extends Kind>(kind: Of): Channels<Heard[Of]>
  hear(news: News): void
}

export function clusterChannels(line: IpcRpc<PrimarySide>): ClusterChannels {
  const listeners = new Map<string, ChannelListener<never>>()
  const keyOf = (kind: Kind, name: string) => `${kind} ${name}`

  return {
    of: (kind) => ({
      listen(name, listener) {
        const key = keyOf(kind, name)
        listeners.set(key, listener)
        line.notify('listen', [kind, name])
        return () => {
          if (listeners.get(key) !== listener) return
          listeners.delete(key)
          line.notify('unlisten', [kind, name])
        }
      },
    }),

    hear({ kind, name, messages, missed }) {
      const listener = listeners.get(keyOf(kind, name))
      if (missed) listener?.joined()
      // A channel's messages are of its kind.
      for (const message of messages) listener?.hear(message as never)
    },
  }
}
