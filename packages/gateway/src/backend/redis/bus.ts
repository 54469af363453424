import type { Bus, Values } from '../ports.ts'
import { type Channels, subscriptions } from '../subscriptions.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import type { Moments } from './moments.ts'
import { storedIn, storedOut } from './value-record.ts'

export interface RedisBusParts {
  readonly connection: RedisConnection
  readonly channels: Channels<Buffer>
  readonly values: Values
  readonly keys: Keys
  readonly moments: Moments
  readonly report: (error: unknown) => void
}

/** Publications of values, received on all nodes: scripts publish where they write. */
export function redisBus({ connection, channels, values, keys, moments, report }: RedisBusParts): Bus {
  return {
    publish(topic, stored) {
      const channel = keys.channel(topic)
      storedOut(stored, { key: channel, moments })
        .then((message) => connection.command(channel, ['SPUBLISH', channel, message]))
        .catch(report)
    },

    subscribe: subscriptions({
      channels,
      channelOf: keys.channel,
      read: (message: Buffer, channel: string) => storedIn(message, { key: channel, moments }),
      catchUp: async (topic) => values.read(topic),
      report,
    }),

    broadcast(channel, word) {
      connection.command(keys.words(channel), ['SPUBLISH', keys.words(channel), word]).catch(report)
    },

    onBroadcast: subscriptions({
      channels,
      channelOf: keys.words,
      read: (message) => message.toString(),
      catchUp: async () => '',
      report,
    }),
  }
}
