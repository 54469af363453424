import { createClient } from 'redis'
import { reportOnce, SILENCE } from './connection.ts'

/** Who hears a channel. */
export interface ChannelListener {
  hear(message: Buffer): void
  /** From now on every message is heard; what was said before may have been missed. Called again after each break. */
  joined(): void
}

/** Channels of Redis that this node listens to, over a connection of its own. */
export interface Channels {
  /** One listener for each channel. Returns how to stop. */
  listen(channel: string, listener: ChannelListener): () => void
  close(): Promise<void>
}

export interface ChannelsParts {
  readonly url: string
  readonly report: (error: unknown) => void
}

/** Sharded channels: each lives where its key lives, also in a cluster. */
export function connectChannels({ url, report }: ChannelsParts): Channels {
  const listeners = new Map<string, ChannelListener>()
  const client = createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    pingInterval: SILENCE / 3,
    socket: {
      connectTimeout: 1000,
      socketTimeout: SILENCE,
      reconnectStrategy: (retries) => Math.random() * Math.min(1000, 25 * 2 ** Math.min(retries, 10)),
    },
  })
  reportOnce(client, report)
  client.on('ready', () => {
    for (const channel of listeners.keys()) join(channel)
  })
  client.connect().catch(report)

  // One function for all channels, so that to subscribe again is to subscribe once.
  function hear(message: Buffer, channel: Buffer): void {
    listeners.get(channel.toString())?.hear(message)
  }

  function join(channel: string): void {
    if (!client.isReady) return
    client.sSubscribe(channel, hear, true).then(
      () => listeners.get(channel)?.joined(),
      // The connection broke meanwhile, and the next one begins anew.
      report,
    )
  }

  return {
    listen(channel, listener) {
      listeners.set(channel, listener)
      join(channel)
      return () => {
        if (listeners.get(channel) !== listener) return
        listeners.delete(channel)
        if (client.isReady) client.sUnsubscribe(channel, hear, true).catch(report)
      }
    },

    async close() {
      listeners.clear()
      if (client.isOpen) client.destroy()
    },
  }
}
