import {
  compareVersions,
  formatVersion,
  type Heartbeat,
  type Level,
  type ServerMessage,
  type Version,
} from '@weir/protocol'
import type { Connection, ConnectionOwner } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { Encoded, type Encoding, type Entry } from '../entry.ts'
import type { Emit } from '../events.ts'

/** A message that is said once and not kept: heartbeats, failures, farewells. */
export type Notice = Exclude<ServerMessage, { type: 'snapshot' | 'absent' }>

/** One way to put what the hub says on the wire. */
export type Wire = Encoding<Entry | Notice>

export interface HubParts {
  readonly clock: Clock
  readonly emit: Emit
  readonly level: () => Level
  /** Milliseconds; no channel with listeners is silent for longer. */
  readonly heartbeat: number
}

/** A topic as those who listen see it. */
export interface Channel {
  readonly topic: string
  /** Those who follow the whole feed hear of every topic in it. */
  readonly parent: Channel | undefined
  readonly listeners: Set<Listener>
  latest: Entry | undefined
  stale: boolean
  /** Whether its listeners already have it among what the next flush writes. */
  marked: boolean
  /** Whether anything was said since the last sweep. */
  spoken: boolean
  /** The last heartbeat made for newcomers, and when, on the monotonic clock. */
  beat: { readonly at: number; readonly stale: boolean; readonly message: Encoded<Entry | Notice> } | undefined
}

/** Topic to listeners. */
export interface Hub {
  channel(topic: string, parent?: Channel): Channel
  /** Lets a channel go that nobody listens to. */
  drop(channel: Channel): void
  /** Takes a live connection in; it hears nothing until it joins channels. */
  listen(connection: Connection, wire: Wire): Listener
  /** From now on the listener hears this channel, beginning with its latest entry, unless that is the version it knows. */
  join(listener: Listener, channel: Channel, known: Version | undefined): void
  /** Tells the listener the latest entry of a channel, without joining. */
  show(listener: Listener, channel: Channel): void
  /** Makes an entry the latest of a channel, unless it is no newer. Listeners get it with the next flush. */
  publish(channel: Channel, entry: Entry): void
  /** Tells those who listen now. Who lags misses it. */
  notice(channel: Channel, notice: Notice): void
  /** Says when a value can no longer be confirmed, and when it can again. */
  setStale(channel: Channel, stale: boolean): void
  readonly connections: number
  /** Says goodbye and closes every connection. `retry`: milliseconds after which to come back. */
  close(retry: () => number): void
}

/** Milliseconds for which newcomers may share a heartbeat: its clock is off by no more. */
const SHARED_FOR = 500

type Pending = Channel | Encoded<Entry | Notice>

/** A connection and what it is yet to hear. Its memory grows with its topics, never with messages. */
export class Listener implements ConnectionOwner {
  readonly connection: Connection
  readonly wire: Wire
  readonly channels: Channel[] = []
  readonly pending: Pending[] = []
  /** Whether something pending was not put there by its channel's publishing, which alone is sure to come once a tick. */
  mixed = false
  /** While the peer lags: the topics that changed. Their latest entries follow when it has caught up. */
  behind: Set<Channel> | undefined
  readonly #hub: ListenerHub

  constructor(connection: Connection, wire: Wire, hub: ListenerHub) {
    this.connection = connection
    this.wire = wire
    this.#hub = hub
    connection.owner = this
  }

  drained(): void {
    this.#hub.drained(this)
  }

  closed(): void {
    this.#hub.closed(this)
  }
}

interface ListenerHub {
  drained(listener: Listener): void
  closed(listener: Listener): void
}

/**
 * Hands every entry to all who listen to its topic: encoded once, written once per connection and tick. There is no
 * timer, closure or object per message and client.
 */
export function createHub({ clock, emit, level, heartbeat }: HubParts): Hub {
  const channels = new Map<string, Channel>()
  const listeners = new Set<Listener>()
  let dirty: Listener[] = []
  let marked: Channel[] = []
  let flushing = false
  let sweeper: Timer | undefined

  const events: ListenerHub = {
    drained(listener) {
      if (listener.behind === undefined) return
      const behind = listener.behind
      listener.behind = undefined
      emit({ type: 'hub.caughtUp' })
      listener.mixed = true
      for (const channel of behind) queue(listener, channel)
    },
    closed(listener) {
      if (!listeners.delete(listener)) return
      for (const channel of listener.channels) channel.listeners.delete(listener)
      if (listener.behind !== undefined) emit({ type: 'hub.caughtUp' })
      listener.pending.length = 0
      emit({ type: 'hub.left' })
    },
  }

  function queue(listener: Listener, item: Pending): void {
    if (listener.behind !== undefined) {
      if (!(item instanceof Encoded)) listener.behind.add(item)
      return
    }
    if (listener.mixed && listener.pending.includes(item)) return
    if (listener.pending.push(item) === 1) dirty.push(listener)
    if (flushing) return
    flushing = true
    clock.soon(flush)
  }

  function flush(): void {
    flushing = false
    const now = dirty
    dirty = []
    for (const channel of marked) channel.marked = false
    marked = []
    let messages = 0
    for (const listener of now) messages += write(listener)
    if (messages > 0) emit({ type: 'hub.written', messages, connections: now.length })
  }

  function write(listener: Listener): number {
    const { connection, wire, pending } = listener
    const several = pending.length > 1
    if (several) connection.cork()
    let flowing = true
    let messages = 0
    for (const item of pending) {
      const bytes = item instanceof Encoded ? item.as(wire) : item.latest?.encoded.as(wire)
      if (bytes === undefined) continue
      flowing = connection.write(bytes)
      messages += 1
    }
    if (several) connection.uncork()
    pending.length = 0
    listener.mixed = false
    if (!flowing && listener.behind === undefined) {
      listener.behind = new Set()
      emit({ type: 'hub.lagging' })
    }
    return messages
  }

  function tell(channel: Channel, item: Pending): void {
    for (const listener of channel.listeners) queue(listener, item)
    channel.spoken = true
    if (channel.parent === undefined) return
    for (const listener of channel.parent.listeners) if (!channel.listeners.has(listener)) queue(listener, item)
    channel.parent.spoken = true
  }

  /** The latest entry for one who has not heard it. When it became that is in it; that it still is, is said beside it. */
  function show(listener: Listener, channel: Channel, known: Version | undefined): void {
    const { latest } = channel
    if (latest === undefined) return
    listener.mixed = true
    const has = known !== undefined && compareVersions(latest.version, known) === 0
    if (!has) queue(listener, channel)
    if (has || channel.stale || latest.checkedAt !== latest.changedAt) queue(listener, beatOf(channel))
  }

  /** A heartbeat that many newcomers share: a herd that returns is not a thousand encodings. */
  function beatOf(channel: Channel): Encoded<Entry | Notice> {
    const now = clock.monotonic()
    if (channel.beat === undefined || now - channel.beat.at > SHARED_FOR || channel.beat.stale !== channel.stale) {
      channel.beat = { at: now, stale: channel.stale, message: new Encoded<Entry | Notice>(heartbeatOf(channel)) }
    }
    return channel.beat.message
  }

  function heartbeatOf(channel: Channel): Heartbeat {
    const { topic, latest, stale } = channel
    const known = latest === undefined ? {} : { version: formatVersion(latest.version), checkedAt: latest.checkedAt }
    return { type: 'heartbeat', topic, ...known, stale, now: clock.now(), level: level() }
  }

  function notice(channel: Channel, message: Notice): void {
    tell(channel, new Encoded<Entry | Notice>(message))
  }

  function sweep(): void {
    for (const channel of channels.values()) {
      if (!channel.spoken && channel.listeners.size > 0) notice(channel, heartbeatOf(channel))
    }
    // Only after all have been asked: a topic's heartbeat must not count as its parent's speaking for this sweep.
    for (const channel of channels.values()) channel.spoken = false
    // Twice a heartbeat, since a channel may have spoken just after the last sweep.
    sweeper = listeners.size === 0 ? undefined : clock.after(heartbeat / 2, sweep)
  }

  return {
    channel(topic, parent) {
      const known = channels.get(topic)
      if (known !== undefined) return known
      const channel: Channel = {
        topic,
        parent,
        listeners: new Set(),
        latest: undefined,
        stale: false,
        marked: false,
        spoken: false,
        beat: undefined,
      }
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
      sweeper ??= clock.after(heartbeat / 2, sweep)
      return listener
    },

    join(listener, channel, known) {
      if (!listeners.has(listener) || channel.listeners.has(listener)) return
      channel.listeners.add(listener)
      listener.channels.push(channel)
      show(listener, channel, known)
    },

    show(listener, channel) {
      if (!channel.listeners.has(listener)) show(listener, channel, undefined)
    },

    publish(channel, entry) {
      const { latest } = channel
      const order = latest === undefined ? 1 : compareVersions(entry.version, latest.version)
      if (latest !== undefined && order === 0) {
        latest.checkedAt = Math.max(latest.checkedAt, entry.checkedAt)
        latest.confirmedAt = Math.max(latest.confirmedAt, entry.confirmedAt)
      }
      if (order <= 0) return
      channel.latest = entry
      if (channel.marked) return
      channel.marked = true
      marked.push(channel)
      tell(channel, channel)
    },

    notice,

    setStale(channel, stale) {
      if (channel.stale === stale) return
      channel.stale = stale
      notice(channel, heartbeatOf(channel))
    },

    get connections() {
      return listeners.size
    },

    close(retry) {
      sweeper?.stop()
      for (const listener of [...listeners]) {
        const goodbye = listener.wire.encode({ type: 'goodbye', retry: retry() })
        listener.connection.write(goodbye)
        listener.connection.close()
      }
    },
  }
}
