import type { Clock } from '../../clock.ts'
import type { ChannelListener, Channels } from '../subscriptions.ts'
import { type Entry, redisClient } from './server.ts'
import { redirection, type Topology } from './topology.ts'

/** Channels of Redis that this node listens to, over connections of their own. */
export interface RedisChannels extends Channels<Buffer> {
  close(): Promise<void>
}

export interface ChannelsParts {
  readonly shards: Topology
  readonly entryOf: (server: string) => Entry
  readonly clock: Clock
  readonly report: (error: unknown) => void
}

/** How soon a channel that could not be joined is tried again, in milliseconds. */
const AGAIN = 250

/** A connection to one server, and the channels that are joined there. */
interface Ear {
  readonly client: ReturnType<typeof redisClient>
  readonly channels: Set<string>
}

/** Sharded channels: each lives where its key lives, also in a cluster, and is followed when that changes. */
export function connectChannels({ shards, entryOf, clock, report }: ChannelsParts): RedisChannels {
  const listeners = new Map<string, ChannelListener<Buffer>>()
  const ears = new Map<string, Ear>()
  let closed = false

  shards.onChange((renewed) => {
    if (closed) return
    // A copy, since reopening a connection changes the map.
    for (const [server, ear] of [...ears]) {
      const moved = [...ear.channels].filter((channel) => shards.of(channel) !== server)
      if (server === renewed || (moved.length > 0 && !ear.client.isReady)) {
        // After a reconnect the client would rejoin its channels, and be refused as a whole if one of them has moved.
        anew(server, ear)
        continue
      }
      for (const channel of moved) {
        leave(server, ear, channel)
        join(channel)
      }
    }
  })

  function earAt(server: string): Ear {
    const known = ears.get(server)
    if (known !== undefined) return known
    const client = redisClient(entryOf(server), (error) => unlessCut(server, ear)(error))
    const ear: Ear = { client, channels: new Set() }
    ears.set(server, ear)
    client.on('ready', () => {
      for (const channel of ear.channels) hearAt(server, ear, channel)
    })
    client.on('error', (error) => {
      shards.doubt(server)
      if (redirection(error, server) !== undefined) anew(server, ear)
    })
    // Its slot has moved to another server.
    client.on('sharded-channel-moved', (channel) => {
      shards.doubt(server)
      if (ear.channels.delete(String(channel))) join(String(channel))
    })
    client.connect().catch(unlessCut(server, ear))
    return ear
  }

  /** A command that a closed connection did not finish is no failure, nor is a channel that has moved to another server. */
  function unlessCut(server: string, ear: Ear): (error: unknown) => void {
    return (error) => {
      if (ears.get(server) === ear && redirection(error, server) === undefined) report(error)
    }
  }

  /** One function for all channels, so that a second subscription changes nothing. */
  function hear(message: Buffer, channel: Buffer): void {
    listeners.get(channel.toString())?.hear(message)
  }

  function join(channel: string): void {
    if (closed || !listeners.has(channel)) return
    const server = shards.of(channel)
    const ear = earAt(server)
    ear.channels.add(channel)
    if (ear.client.isReady) hearAt(server, ear, channel)
  }

  function hearAt(server: string, ear: Ear, channel: string): void {
    const stillHere = () => ears.get(server) === ear && ear.channels.has(channel) && ear.client.isReady
    ear.client.sSubscribe(channel, hear, true).then(
      () => {
        if (stillHere()) listeners.get(channel)?.joined()
      },
      (error) => {
        // If the connection broke meanwhile, the next one subscribes again.
        if (closed || !stillHere()) return
        const to = redirection(error, server)
        if (to !== undefined) shards.moved(to)
        else report(error)
        clock.after(AGAIN, () => {
          if (!closed && stillHere()) hearAt(server, ear, channel)
        })
      },
    )
  }

  function leave(server: string, ear: Ear, channel: string): void {
    ear.channels.delete(channel)
    if (ear.client.isReady) ear.client.sUnsubscribe(channel, hear, true).catch(unlessCut(server, ear))
    // The connection to a single server is kept: a node without channels soon has some again.
    if (ear.channels.size === 0 && !shards.has(server)) cut(server, ear)
  }

  function anew(server: string, ear: Ear): void {
    cut(server, ear)
    for (const channel of ear.channels) join(channel)
  }

  function cut(server: string, { client }: Ear): void {
    ears.delete(server)
    if (client.isOpen) client.destroy()
  }

  return {
    listen(channel, listener) {
      listeners.set(channel, listener)
      join(channel)
      return () => {
        if (listeners.get(channel) !== listener) return
        listeners.delete(channel)
        for (const [server, ear] of ears) if (ear.channels.has(channel)) leave(server, ear, channel)
      }
    },

    async close() {
      closed = true
      listeners.clear()
      for (const [server, ear] of ears) cut(server, ear)
    },
  }
}
