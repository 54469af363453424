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
import { addressOf, Encoded, type Encoding, type Entry } from '../entry.ts'
import type { Emit } from '../events.ts'

/** A message that is said once and not kept: heartbeats, failures, farewells. */
export type Notice = Exclude<ServerMessage, { type: 'snapshot' | 'absent' }>

/** One way to put what the hub says on the wire. */
export interface Wire extends Encoding<Entry | Notice> {
  /** What this one connection gets, where that depends on what it was sent before. */
  fit?(connection: Connection, news: Encoded<Entry | Notice>): Uint8Array
}

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
  /** Why there never was an entry, as it was said last. Of no meaning once there is one. */
  failure: Encoded<Entry | Notice> | undefined
  stale: boolean
  /** Whether its listeners already have it among what the next flush writes. */
  marked: boolean
  /** Whether anything was said since the last sweep. */
  spoken: boolean
  readonly pulse: Pulse
}

/** That the latest entry still is so. It is put into words when it leaves: what was published in the same tick is in it. */
class Pulse {
  readonly channel: Channel
  /** The last words, and when they were made, on the monotonic clock. */
  made: { readonly at: number; readonly message: Encoded<Entry | Notice> } | undefined

  constructor(channel: Channel) {
    this.channel = channel
  }
}

/** A listener that came back with a version in hand: it hears that this still holds, or, if not, the latest. */
class Resumed {
  readonly channel: Channel
  readonly known: Version

  constructor(channel: Channel, known: Version) {
    this.channel = channel
    this.known = known
  }
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
  /** From now on the listener does not hear this channel; what of it waits for the next flush is not said either. */
  leave(listener: Listener, channel: Channel): void
  /** Tells the listener the latest entry of a channel, without joining. */
  show(listener: Listener, channel: Channel): void
  /** Makes an entry the latest of a channel, unless it is no newer. Listeners get it with the next flush. */
  publish(channel: Channel, entry: Entry): void
  /** Tells those who listen now. Who lags misses it. */
  notice(channel: Channel, notice: Notice): void
  /** Says when a value can no longer be confirmed, and when it can again. */
  setStale(channel: Channel, stale: boolean): void
  /** Tells every connection the level of now, at once. */
  tellLevel(): void
  readonly connections: number
  /** Says goodbye and closes every connection. `retry`: milliseconds after which to come back. */
  close(retry: () => number): void
}

/** Milliseconds for which newcomers may share a heartbeat: its clock is off by no more. */
const SHARED_FOR = 500

type Pending = Channel | Pulse | Resumed | Encoded<Entry | Notice>

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
  let levelTold: Encoded<Entry | Notice> | undefined

  const events: ListenerHub = {
    drained(listener) {
      if (listener.behind === undefined) return
      const behind = listener.behind
      listener.behind = undefined
      emit({ type: 'hub.caughtUp' })
      for (const channel of behind) queue(listener, channel)
      // It may have changed meanwhile; said once too often does no harm.
      if (levelTold !== undefined) queue(listener, levelTold)
      listener.mixed = true
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
      if (item instanceof Resumed) listener.behind.add(item.channel)
      else if (!(item instanceof Encoded || item instanceof Pulse)) listener.behind.add(item)
      return
    }
    if (listener.mixed && listener.pending.includes(item)) return
    if (listener.pending.push(item) === 1) dirty.push(listener)
    flushSoon()
  }

  function flushSoon(): void {
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
      const news = newsOf(item, pending)
      if (news === undefined) continue
      flowing = connection.write(wire.fit?.(connection, news) ?? news.as(wire))
      messages += 1
    }
    // Last, so that no heartbeat names a version that its listener has yet to hear.
    if (messages < pending.length) {
      for (const item of pending) {
        const pulse = pulseOf(item)
        if (pulse === undefined) continue
        flowing = connection.write(words(pulse).as(wire))
        messages += 1
      }
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
    if (channel.stale || latest.checkedAt !== latest.changedAt) queue(listener, channel.pulse)
  }

  /** A heartbeat that many newcomers share: a herd that returns is not a thousand encodings. */
  function words(pulse: Pulse): Encoded<Entry | Notice> {
    const now = clock.monotonic()
    if (pulse.made === undefined || now - pulse.made.at > SHARED_FOR) {
      pulse.made = { at: now, message: new Encoded<Entry | Notice>(heartbeatOf(pulse.channel)) }
    }
    return pulse.made.message
  }

  /** Tells all that the channel still is as it is, in new words. */
  function beat({ pulse }: Channel): void {
    pulse.made = undefined
    tell(pulse.channel, pulse)
  }

  function heartbeatOf(channel: Channel): Heartbeat {
    const { latest, stale } = channel
    const topic = addressOf(channel.topic)
    const known = latest === undefined ? {} : { version: formatVersion(latest.version), checkedAt: latest.checkedAt }
    return { type: 'heartbeat', topic, ...known, stale, now: clock.now(), level: level() }
  }

  function notice(channel: Channel, message: Notice): void {
    const encoded = new Encoded<Entry | Notice>(message)
    if (message.type === 'error') channel.failure = encoded
    tell(channel, encoded)
  }

  function sweep(): void {
    for (const channel of channels.values()) {
      if (!channel.spoken && channel.listeners.size > 0) beat(channel)
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
        failure: undefined,
        stale: false,
        marked: false,
        spoken: false,
        get pulse() {
          return pulse
        },
      }
      const pulse = new Pulse(channel)
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

    leave(listener, channel) {
      if (!channel.listeners.delete(listener)) return
      listener.channels.splice(listener.channels.indexOf(channel), 1)
      listener.behind?.delete(channel)
      const { pending } = listener
      const others = pending.filter((item) => item !== channel && !('channel' in item && item.channel === channel))
      pending.splice(0, pending.length, ...others)
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
      channel.pulse.made = undefined
      if (channel.marked) return
      channel.marked = true
      marked.push(channel)
      // Also when nobody listens: only a flush takes the mark off.
      flushSoon()
      tell(channel, channel)
    },

    notice,

    setStale(channel, stale) {
      if (channel.stale === stale) return
      channel.stale = stale
      beat(channel)
    },

    tellLevel() {
      // No newcomer may be told the old one after the new.
      for (const { pulse } of channels.values()) pulse.made = undefined
      levelTold = new Encoded<Entry | Notice>({ type: 'level', level: level(), now: clock.now() })
      for (const listener of listeners) queue(listener, levelTold)
    },

    get connections() {
      return listeners.size
    },

    close(retry) {
      sweeper?.stop()
      // What waits for its tick goes before the goodbye: after it nothing can be written.
      flush()
      for (const listener of [...listeners]) {
        const goodbye = listener.wire.encode({ type: 'goodbye', retry: retry() })
        listener.connection.write(goodbye)
        listener.connection.close()
      }
    },
  }
}

function newsOf(item: Pending, pending: readonly Pending[]): Encoded<Entry | Notice> | undefined {
  if (item instanceof Encoded) return item
  if (item instanceof Pulse) return undefined
  if (!(item instanceof Resumed)) return item.latest?.encoded
  // It changed in the tick in which the listener came: said here, unless it is also told as all are.
  return holds(item) || pending.includes(item.channel) ? undefined : item.channel.latest?.encoded
}

function pulseOf(item: Pending): Pulse | undefined {
  if (item instanceof Pulse) return item
  return item instanceof Resumed && holds(item) ? item.channel.pulse : undefined
}

function holds({ channel, known }: Resumed): boolean {
  return channel.latest !== undefined && compareVersions(channel.latest.version, known) === 0
}
