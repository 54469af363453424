import { compareVersions, type Level, type Problem, type Version } from '@weir/protocol'
import type { Connection } from '../call.ts'
import type { Clock } from '../clock.ts'
import { compareNews, Encoded, type Entry } from '../entry.ts'
import type { Emit } from '../events.ts'
import {
  type Channel,
  ChannelHeartbeat,
  Listener,
  type ListenerHub,
  LogCursor,
  type Message,
  type Notice,
  type Pending,
  Resumed,
  type Wire,
} from './channel.ts'
import { closeListeners } from './close.ts'
import { createFlush } from './flush.ts'
import { heartbeatMessages, Sweep } from './heartbeat.ts'

export { type Channel, Listener, type Notice, type Step, type Tail, type Wire } from './channel.ts'

export interface HubParts {
  readonly clock: Clock
  readonly emit: Emit
  readonly level: () => Level
  /** Milliseconds; no channel with listeners is silent for longer. */
  readonly heartbeat: number
}

/** Topic to listeners. */
export interface Hub {
  channel(topic: string, parent?: Channel): Channel
  /** Removes a channel without listeners. */
  drop(channel: Channel): void
  /** Takes a live connection in. It gets nothing until it joins channels. */
  listen(connection: Connection, wire: Wire): Listener
  /** From now on the listener gets this channel, beginning with its latest entry, unless it knows that version. */
  join(listener: Listener, channel: Channel, known: Version | undefined): void
  /** From now on the listener gets this log: what it missed, the messages from this count on, and all that come. */
  follow(listener: Listener, channel: Channel, from: number, gap: Notice | undefined): void
  /** The tail of a log has more messages. Listeners get what is new to them with the next flush. */
  appended(channel: Channel): void
  /** Sends a goodbye to a listener that may come back, and closes its connection. `problem`: what the client must mend before. */
  disconnect(listener: Listener, problem?: Problem): void
  /** From now on the listener does not get this channel, nor what of it waits for the next flush. */
  leave(listener: Listener, channel: Channel): void
  /** Sends the listener the latest entry of a channel, without joining. */
  show(listener: Listener, channel: Channel): void
  /**
   * Makes an entry the latest of a channel, unless it is not newer. Listeners get it with the next flush, unless all listeners of the whole
   * feed `have` it already.
   */
  publish(channel: Channel, entry: Entry, have?: boolean): void
  /** Sends a notice to those that listen now. A lagging listener misses it. */
  notice(channel: Channel, notice: Notice): void
  /** Says when a value can no longer be confirmed, and when it can again. */
  setStale(channel: Channel, stale: boolean): void
  /** Sends the current level to every connection, at once. */
  tellLevel(): void
  readonly connections: number
  /** Milliseconds since anything was written, while there is a listener that could take it; otherwise 0. */
  readonly silence: number
  /**
   * Sends a goodbye to every connection and closes it: a few at once, many spread over four fifths of `within` milliseconds, during which
   * the others go on. `retry`: milliseconds after which to come back.
   */
  close(retry: () => number, within: number): Promise<void>
}

/** A disconnected listener comes back after this many milliseconds, and up to this many more. */
const BACK_FROM = 500
const BACK_SPREAD = 2000

/** Sends every entry to all listeners of its topic: encoded once, written once per connection and tick. */
export function createHub({ clock, emit, level, heartbeat }: HubParts): Hub {
  const channels = new Map<string, Channel>()
  const listeners = new Set<Listener>()
  const heartbeatMessage = heartbeatMessages(clock, level)
  const flush = createFlush({ clock, emit, heartbeatMessage, disconnect })
  const { queue, stuck } = flush
  const sweep = new Sweep({ clock, interval: heartbeat, channels, listeners, stuck, sendHeartbeat, disconnect })
  let levelSent: Message | undefined
  /** How many listeners are in how many channels, and since when that is more than none, on the monotonic clock. */
  let joined = 0
  let joinedSince = 0

  const events: ListenerHub = {
    drained(listener) {
      if (listener.lagging === undefined) return
      const { lagging } = listener
      listener.lagging = undefined
      stuck.delete(listener)
      emit({ type: 'hub.caughtUp' })
      for (const channel of lagging) {
        flush.requireFull(listener, channel)
        queue(listener, channel)
      }
      // It may have changed meanwhile. Sent once too often it does no harm.
      if (levelSent !== undefined) queue(listener, levelSent)
      listener.mixed = true
    },
    closed(listener) {
      if (!listeners.delete(listener)) return
      for (const channel of listener.channels) channel.listeners.delete(listener)
      joined -= listener.channels.length
      stuck.delete(listener)
      if (listener.lagging !== undefined) emit({ type: 'hub.caughtUp' })
      listener.pending.length = 0
      emit({ type: 'hub.left' })
    },
  }

  function enter(listener: Listener, channel: Channel): void {
    channel.listeners.add(listener)
    listener.several = listener.channels.push(channel) > 1
    if (joined === 0) joinedSince = clock.monotonic()
    joined += 1
  }

  /** Whether there is a listener that does not lag because of its own network. */
  function reachesAny(): boolean {
    if (joined === 0) return false
    for (const { channels, lagging } of listeners) if (channels.length > 0 && lagging === undefined) return true
    return false
  }

  function disconnect(listener: Listener, problem?: Problem): void {
    if (!listeners.has(listener)) return
    const { connection, wire } = listener
    // First: nothing may be written after the goodbye.
    events.closed(listener)
    if (problem === undefined) emit({ type: 'hub.cut' })
    const retry = problem === undefined ? Math.round(BACK_FROM + Math.random() * BACK_SPREAD) : 0
    connection.write(wire.encode({ type: 'goodbye', retry, ...(problem && { problem }) }))
    connection.close()
  }

  /** Sends an item to all that listen to a channel, or to its whole feed. */
  function send(channel: Channel, item: Pending): void {
    for (const listener of channel.listeners) queue(listener, item)
    channel.activeSinceSweep = true
    if (channel.parent === undefined) return
    for (const listener of channel.parent.listeners) if (!channel.listeners.has(listener)) queue(listener, item)
    channel.parent.activeSinceSweep = true
  }

  function sendHeartbeat(channel: Channel): void {
    channel.heartbeat.made = undefined
    send(channel, channel.heartbeat)
  }

  /** The latest entry for a listener that has not got it. The entry says since when it holds; the heartbeat, that it still does. */
  function show(listener: Listener, channel: Channel, known: Version | undefined): void {
    const { latest, failure } = channel
    if (latest === undefined) {
      if (failure !== undefined) queue(listener, failure)
      return
    }
    listener.mixed = true
    if (known !== undefined && compareVersions(latest.version, known) === 0) {
      queue(listener, new Resumed(channel, known))
      return
    }
    queue(listener, channel)
    if (channel.stale || latest.stale || latest.checkedAt !== latest.changedAt) queue(listener, channel.heartbeat)
  }

  return {
    channel(topic, parent) {
      const known = channels.get(topic)
      if (known !== undefined) return known
      const channel = openChannel(topic, parent)
      channels.set(topic, channel)
      return channel
    },

    drop(channel) {
      if (channel.listeners.size === 0 && channels.get(channel.topic) === channel) channels.delete(channel.topic)
    },

    listen(connection, wire) {
      const listener = new Listener(connection, wire, events)
      listeners.add(listener)
      emit({ type: 'hub.joined' })
      sweep.start()
      return listener
    },

    join(listener, channel, known) {
      if (!listeners.has(listener) || channel.listeners.has(listener)) return
      enter(listener, channel)
      flush.requireFull(listener, channel)
      show(listener, channel, known)
    },

    follow(listener, channel, from, gap) {
      const { tail } = channel
      if (tail === undefined || !listeners.has(listener) || channel.listeners.has(listener)) return
      enter(listener, channel)
      const cursor = new LogCursor(channel, tail, from, gap)
      listener.cursors ??= new Map()
      listener.cursors.set(channel, cursor)
      listener.mixed = true
      queue(listener, cursor.message === undefined ? channel.heartbeat : channel)
    },

    appended: flush.changed,
    disconnect,

    leave(listener, channel) {
      if (!channel.listeners.delete(listener)) return
      listener.channels.splice(listener.channels.indexOf(channel), 1)
      joined -= 1
      listener.lagging?.delete(channel)
      flush.clearFull(listener, channel)
      listener.cursors?.delete(channel)
      const { pending } = listener
      const others = pending.filter((item) => item !== channel && !('channel' in item && item.channel === channel))
      pending.splice(0, pending.length, ...others)
    },

    show(listener, channel) {
      if (!channel.listeners.has(listener)) show(listener, channel, undefined)
    },

    publish(channel, entry, have = false) {
      const { latest } = channel
      const order = latest === undefined ? 1 : compareNews(entry, latest)
      if (latest !== undefined && order === 0)
        latest.confirm(
          { checkedAt: entry.checkedAt, absentFor: entry.content.absentFor },
          entry.confirmedAt,
          entry.staleFrom,
        )
      if (order <= 0) return
      channel.latest = entry
      if (have) channel.lastFlushed = entry
      else flush.changed(channel)
    },

    notice(channel, notice) {
      const message = new Encoded<Entry | Notice>(notice)
      if (notice.type === 'error') channel.failure = message
      send(channel, message)
    },

    setStale(channel, stale) {
      if (channel.stale === stale) return
      channel.stale = stale
      sendHeartbeat(channel)
    },

    tellLevel() {
      // No new listener may get the old level after the new one.
      for (const { heartbeat } of channels.values()) heartbeat.made = undefined
      levelSent = new Encoded<Entry | Notice>({ type: 'level', level: level(), now: clock.now() })
      for (const listener of listeners) queue(listener, levelSent)
    },

    get connections() {
      return listeners.size
    },

    get silence() {
      return reachesAny() ? clock.monotonic() - Math.max(flush.wroteAt, joinedSince) : 0
    },

    async close(retry, within) {
      // What waits for its tick goes before the goodbye: after it nothing can be written.
      await closeListeners(listeners, { clock, within, retry, flush: flush.flush })
      sweep.stop()
    },
  }
}

function openChannel(topic: string, parent: Channel | undefined): Channel {
  const channel: Channel = {
    topic,
    parent,
    listeners: new Set(),
    latest: undefined,
    tail: undefined,
    lastFlushed: undefined,
    delta: undefined,
    failure: undefined,
    stale: false,
    dirty: false,
    activeSinceSweep: false,
    get heartbeat() {
      return heartbeat
    },
  }
  const heartbeat = new ChannelHeartbeat(channel)
  return channel
}
