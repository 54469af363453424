import {
  compareVersions,
  formatVersion,
  type Heartbeat,
  type Level,
  type Problem,
  type ServerMessage,
  type Version,
} from '@weir/protocol'
import type { Connection, ConnectionOwner } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, compareNews, Encoded, type Encoding, type Entry } from '../entry.ts'
import type { Emit } from '../events.ts'

/** A message that is said once and not kept: heartbeats, failures, farewells. */
export type Notice = Exclude<ServerMessage, { type: 'snapshot' | 'absent' }>

/** One way to put what the hub says on the wire. */
export interface Wire extends Encoding<Entry | Notice> {
  /** What news are in bytes, for a wire that keeps them itself; others have them kept with the news. */
  said?(news: Encoded<Entry | Notice>): Buffer
  /** How an entry is said to those who have the one before it, where that may be shorter. */
  readonly steps?: Steps
}

/** An entry, and the one that those who keep up have. */
export interface Step {
  readonly from: Entry
  readonly to: Entry
}

export interface Steps extends Encoding<Step> {
  /** Whether a connection takes steps of a topic. */
  taken(connection: Connection, topic: string): boolean
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
  /** The latest entry as of the last flush: what all have who keep up. */
  told: Entry | undefined
  /** From that to the latest, while there is a flush. */
  step: Encoded<Step> | undefined
  /** What a log has to tell, event by event; a feed's channel has none. */
  tail: Tail | undefined
  /** Why there never was an entry, as it was said last. Of no meaning once there is one. */
  failure: Encoded<Entry | Notice> | undefined
  stale: boolean
  /** Whether the next flush tells its latest entry. */
  marked: boolean
  /** Whether anything was said since the last sweep. */
  spoken: boolean
  readonly pulse: ChannelHeartbeat
}

/** That the latest entry still is so. It is put into words when it leaves: what was published in the same tick is in it. */
class ChannelHeartbeat {
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

/** The latest messages of a log, counted in the order in which they came; the count never turns back. */
export interface Tail {
  /** The count of the oldest message that is there. */
  readonly first: number
  /** The position of the newest event. */
  readonly newest: Version
  /** Its lineage, where it is an origin's. */
  readonly lineage: string | undefined
  /** Undefined when that one is gone, or yet to come. */
  at(count: number): Encoded<Entry | Notice> | undefined
}

/** How far a listener has come in a log. What it has yet to hear lies in the tail, which all share. */
class LogCursor {
  readonly channel: Channel
  readonly #tail: Tail
  #next: number
  /** What it missed, said before anything else. */
  #gap: Encoded<Entry | Notice> | undefined

  constructor(channel: Channel, tail: Tail, next: number, gap: Notice | undefined) {
    this.channel = channel
    this.#tail = tail
    this.#next = next
    this.#gap = gap === undefined ? undefined : new Encoded<Entry | Notice>(gap)
  }

  /** What it is to hear next. */
  get message(): Encoded<Entry | Notice> | undefined {
    return this.#gap ?? this.#tail.at(this.#next)
  }

  /** It has heard that. */
  pass(): void {
    if (this.#gap === undefined) this.#next += 1
    this.#gap = undefined
  }

  /** What it has yet to hear is gone. */
  get lost(): boolean {
    return this.#next < this.#tail.first
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
  /** From now on the listener hears this log: what it has missed, the messages from this count on, and all that come. */
  follow(listener: Listener, channel: Channel, from: number, gap: Notice | undefined): void
  /** The tail of a log has grown. Listeners get what is new to them with the next flush. */
  appended(channel: Channel): void
  /** Says goodbye to a listener that is to come back, and closes its connection. `problem`: what the client has to mend before. */
  disconnect(listener: Listener, problem?: Problem): void
  /** From now on the listener does not hear this channel; what of it waits for the next flush is not said either. */
  leave(listener: Listener, channel: Channel): void
  /** Tells the listener the latest entry of a channel, without joining. */
  show(listener: Listener, channel: Channel): void
  /**
   * Makes an entry the latest of a channel, unless it is no newer. Listeners get it with the next flush; not where all who listen to the whole feed
   * were `told` it before.
   */
  publish(channel: Channel, entry: Entry, told?: boolean): void
  /** Tells those who listen now. Who lags misses it. */
  notice(channel: Channel, notice: Notice): void
  /** Says when a value can no longer be confirmed, and when it can again. */
  setStale(channel: Channel, stale: boolean): void
  /** Tells every connection the level of now, at once. */
  tellLevel(): void
  readonly connections: number
  /** Milliseconds since anything was written to anybody, while somebody listens who could take it; else 0. */
  readonly silence: number
  /**
   * Says goodbye and closes every connection: a few at once, many spread over four fifths of `within` milliseconds, in which the
   * others go on. `retry`: milliseconds after which to come back.
   */
  close(retry: () => number, within: number): Promise<void>
}

/** Milliseconds for which newcomers may share a heartbeat: its clock is off by no more. */
const SHARED_FOR = 500

/**
 * Heartbeats for which one who lags may take nothing. A client that vanished says no goodbye, and the system would keep sending to
 * it for a quarter of an hour; one that only sleeps comes back with what it has.
 */
const MOST_STUCK = 10

/** A server that goes closes so many connections at once, and more every so many milliseconds. */
const CLOSED_AT_ONCE = 100
const CLOSING_EVERY = 50

/**
 * So many listeners are looked at before the first of them is written to. What is known of each lies somewhere else in memory: a
 * processor fetches that of many at once, but behind a system call of one after the other.
 */
const AHEAD = 16

const NOTHING = Buffer.alloc(0)
/** Those who are cut off come back after so many milliseconds, and up to so many more. */
const BACK_FROM = 500
const BACK_SPREAD = 2000

type Pending = Channel | ChannelHeartbeat | Resumed | Encoded<Entry | Notice>

/** A connection and what it is yet to hear. Its memory grows with its topics, never with messages. */
export class Listener implements ConnectionOwner {
  readonly connection: Connection
  readonly wire: Wire
  readonly channels: Channel[] = []
  readonly pending: Pending[] = []
  /** Whether something pending was not put there by a flush, which alone is sure to come once a tick. */
  mixed = false
  /** Whether it hears more than one topic, so that one tick may have several things for it. */
  several = false
  /** While the peer lags: the topics that changed. Their latest entries follow when it has caught up. */
  behind: Set<Channel> | undefined
  /** Channels of which it may not have what was told last, so that it is told a whole entry next. */
  apart: Set<Channel> | undefined
  /** Where it stands in the logs among its channels. */
  places: Map<Pending, LogCursor> | undefined
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
  /** Who lags: the bytes that wait for it, and since when they are so many, on the monotonic clock. */
  const lagging = new Map<Listener, { readonly waiting: number; readonly since: number }>()
  let dirty: Listener[] = []
  let marked: Channel[] = []
  let flushing = false
  let sweeper: Timer | undefined
  let levelTold: Encoded<Entry | Notice> | undefined
  /** How many hear how many channels, since when it is more than none, and when anything was written: monotonic. */
  let heard = 0
  let heardSince = 0
  let wroteAt = 0

  const events: ListenerHub = {
    drained(listener) {
      if (listener.behind === undefined) return
      const behind = listener.behind
      listener.behind = undefined
      lagging.delete(listener)
      emit({ type: 'hub.caughtUp' })
      for (const channel of behind) {
        setApart(listener, channel)
        queue(listener, channel)
      }
      // It may have changed meanwhile; said once too often does no harm.
      if (levelTold !== undefined) queue(listener, levelTold)
      listener.mixed = true
    },
    closed(listener) {
      if (!listeners.delete(listener)) return
      for (const channel of listener.channels) channel.listeners.delete(listener)
      heard -= listener.channels.length
      lagging.delete(listener)
      if (listener.behind !== undefined) emit({ type: 'hub.caughtUp' })
      listener.pending.length = 0
      emit({ type: 'hub.left' })
    },
  }

  function enter(listener: Listener, channel: Channel): void {
    channel.listeners.add(listener)
    listener.several = listener.channels.push(channel) > 1
    if (heard === 0) heardSince = clock.monotonic()
    heard += 1
  }

  /** Somebody hears something, and is not behind because of a network of its own. */
  function reachesAnybody(): boolean {
    if (heard === 0) return false
    for (const { channels, behind } of listeners) if (channels.length > 0 && behind === undefined) return true
    return false
  }

  function queue(listener: Listener, item: Pending): void {
    if (listener.behind !== undefined) {
      if (item instanceof Resumed) listener.behind.add(item.channel)
      else if (!(item instanceof Encoded || item instanceof ChannelHeartbeat)) listener.behind.add(item)
      return
    }
    add(listener, item)
    flushSoon()
  }

  function add(listener: Listener, item: Pending): void {
    if (listener.mixed && listener.pending.includes(item)) return
    if (listener.pending.push(item) === 1) dirty.push(listener)
  }

  function flushSoon(): void {
    if (flushing) return
    flushing = true
    clock.soon(flush)
  }

  function flush(): void {
    flushing = false
    const changed = marked
    marked = []
    // Who has nothing else to hear this tick is written to at once; nothing is kept for each, and nothing looked up.
    const alone = changed.length === 1
    const quiet = dirty.length === 0
    let messages = 0
    for (const channel of changed) {
      channel.marked = false
      messages += spread(channel, alone, quiet)
    }
    let connections = messages
    const now = dirty
    dirty = []
    for (const listener of now) messages += write(listener)
    for (const channel of changed) {
      channel.told = channel.latest
      channel.step = undefined
    }
    connections += now.length
    if (messages === 0) return
    wroteAt = clock.monotonic()
    emit({ type: 'hub.written', messages, connections })
  }

  /**
   * Tells the latest entry of a channel to all who hear it, and how many that was; those who may hear more in this tick
   * have it added to that. `alone`: no other channel changed. `quiet`: no listener had anything pending.
   */
  function spread(channel: Channel, alone: boolean, quiet: boolean): number {
    const { latest, listeners, parent } = channel
    if (channel.tail !== undefined) {
      for (const listener of listeners) grew(listener, channel)
      return 0
    }
    if (latest === undefined) return 0
    let wire: Wire | undefined
    let bytes: Buffer = NOTHING
    let told = 0
    const ahead: Listener[] = []

    const write = (listener: Listener, bytes: Buffer) => {
      if (!listener.connection.write(bytes)) lags(listener)
    }
    const writeAll = () => {
      for (const listener of ahead) write(listener, bytes)
      ahead.length = 0
    }
    const say = (listener: Listener, only: boolean) => {
      if (listener.behind !== undefined) {
        listener.behind.add(channel)
        return
      }
      if (!only || !(quiet || listener.pending.length === 0)) {
        add(listener, channel)
        return
      }
      told += 1
      if (listener.apart !== undefined || listener.connection.flows === false) {
        write(listener, bytesOf(listener, channel))
        return
      }
      if (listener.wire !== wire) {
        writeAll()
        wire = listener.wire
        bytes = bytesOf(listener, channel)
      }
      if (ahead.push(listener) === AHEAD) writeAll()
    }

    for (const listener of listeners) say(listener, alone || !listener.several)
    if (parent !== undefined)
      for (const listener of parent.listeners) if (!listeners.has(listener)) say(listener, alone)
    writeAll()
    return told
  }

  /** The latest entry of a channel as this listener is told it: who hears it as a part of its feed only, always whole. */
  function bytesOf(listener: Listener, channel: Channel): Buffer {
    const { wire, apart, connection } = listener
    const { steps } = wire
    const { latest } = channel
    if (latest === undefined) return NOTHING
    if (steps === undefined) return said(latest.encoded, wire)
    if (channel.told !== undefined && !apart?.has(channel) && channel.listeners.has(listener)) {
      channel.step ??= new Encoded<Step>({ from: channel.told, to: latest })
      return channel.step.as(steps)
    }
    if (steps.taken(connection, channel.topic)) together(listener, channel)
    return said(latest.encoded, wire)
  }

  function setApart(listener: Listener, channel: Channel): void {
    if (listener.wire.steps === undefined) return
    listener.apart ??= new Set()
    listener.apart.add(channel)
  }

  function together(listener: Listener, channel: Channel): void {
    if (listener.apart?.delete(channel) && listener.apart.size === 0) listener.apart = undefined
  }

  /** There is more in a log. Who lags hears it later, as long as it is kept. */
  function grew(listener: Listener, channel: Channel): void {
    if (listener.behind === undefined) add(listener, channel)
    else if (listener.places?.get(channel)?.lost) disconnect(listener)
    else listener.behind.add(channel)
  }

  function lags(listener: Listener): void {
    if (listener.behind !== undefined) return
    listener.behind = new Set()
    lagging.set(listener, { waiting: listener.connection.waiting, since: clock.monotonic() })
    emit({ type: 'hub.lagging' })
  }

  function write(listener: Listener): number {
    const { connection, wire, pending, places } = listener
    const several = pending.length > 1 || places !== undefined
    if (several) connection.cork()
    let flowing = true
    let messages = 0
    let beats = false
    for (const item of pending) {
      const place = places?.get(item)
      // What does not flow waits in the tail, and not here.
      for (let next = place?.message; next !== undefined && flowing; next = place?.message) {
        flowing = connection.write(said(next, wire))
        place?.pass()
        messages += 1
      }
      if (place !== undefined) continue
      const news = newsOf(item, pending)
      if (news === undefined) {
        beats = true
        continue
      }
      flowing = connection.write(news instanceof Encoded ? said(news, wire) : bytesOf(listener, news))
      messages += 1
    }
    // Last, so that no heartbeat names a version that its listener has yet to hear.
    if (beats) {
      for (const item of pending) {
        const pulse = pulseOf(item)
        if (pulse === undefined || places?.get(pulse.channel)?.message !== undefined) continue
        flowing = connection.write(said(words(pulse), wire))
        messages += 1
      }
    }
    if (several) connection.uncork()
    pending.length = 0
    listener.mixed = false
    if (!flowing) lags(listener)
    if (places === undefined) return messages
    for (const place of places.values()) {
      if (place.lost) disconnect(listener)
      else if (place.message !== undefined) listener.behind?.add(place.channel)
    }
    return messages
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

  /** Has all who listen get what is new with the next flush, also when nobody does: only a flush takes the mark off. */
  function changed(channel: Channel): void {
    channel.pulse.made = undefined
    channel.spoken = true
    if (channel.parent !== undefined) channel.parent.spoken = true
    if (channel.marked) return
    channel.marked = true
    marked.push(channel)
    flushSoon()
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
    if (channel.stale || latest.stale || latest.checkedAt !== latest.changedAt) queue(listener, channel.pulse)
  }

  /** A heartbeat that many newcomers share: a herd that returns is not a thousand encodings. */
  function words(pulse: ChannelHeartbeat): Encoded<Entry | Notice> {
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
    const { latest, tail, stale } = channel
    const topic = addressOf(channel.topic)
    const known = latest === undefined ? {} : { version: formatVersion(latest.version), checkedAt: latest.checkedAt }
    const newest = tail === undefined ? {} : { version: formatVersion(tail.newest) }
    const lineage = tail === undefined ? latest?.lineage : tail.lineage
    const line = lineage === undefined ? {} : { lineage }
    return { type: 'heartbeat', topic, ...known, ...newest, ...line, stale, now: clock.now(), level: level() }
  }

  function notice(channel: Channel, message: Notice): void {
    const encoded = new Encoded<Entry | Notice>(message)
    if (message.type === 'error') channel.failure = encoded
    tell(channel, encoded)
  }

  /** Cuts who has taken nothing for too long. */
  function watch(listener: Listener, { waiting, since }: { readonly waiting: number; readonly since: number }): void {
    const now = clock.monotonic()
    if (listener.connection.waiting !== waiting)
      lagging.set(listener, { waiting: listener.connection.waiting, since: now })
    else if (now - since >= MOST_STUCK * heartbeat) disconnect(listener)
  }

  function sweep(): void {
    for (const channel of channels.values()) {
      if (!channel.spoken && channel.listeners.size > 0) beat(channel)
    }
    // Only after all have been asked: a topic's heartbeat must not count as its parent's speaking for this sweep.
    for (const channel of channels.values()) channel.spoken = false
    for (const [listener, stuck] of lagging) watch(listener, stuck)
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
        tail: undefined,
        told: undefined,
        step: undefined,
        failure: undefined,
        stale: false,
        marked: false,
        spoken: false,
        get pulse() {
          return pulse
        },
      }
      const pulse = new ChannelHeartbeat(channel)
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
      enter(listener, channel)
      setApart(listener, channel)
      show(listener, channel, known)
    },

    follow(listener, channel, from, gap) {
      const { tail } = channel
      if (tail === undefined || !listeners.has(listener) || channel.listeners.has(listener)) return
      enter(listener, channel)
      const place = new LogCursor(channel, tail, from, gap)
      listener.places ??= new Map()
      listener.places.set(channel, place)
      listener.mixed = true
      queue(listener, place.message === undefined ? channel.pulse : channel)
    },

    appended: changed,
    disconnect,

    leave(listener, channel) {
      if (!channel.listeners.delete(listener)) return
      listener.channels.splice(listener.channels.indexOf(channel), 1)
      heard -= 1
      listener.behind?.delete(channel)
      together(listener, channel)
      listener.places?.delete(channel)
      const { pending } = listener
      const others = pending.filter((item) => item !== channel && !('channel' in item && item.channel === channel))
      pending.splice(0, pending.length, ...others)
    },

    show(listener, channel) {
      if (!channel.listeners.has(listener)) show(listener, channel, undefined)
    },

    publish(channel, entry, told = false) {
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
      if (told) channel.told = entry
      else changed(channel)
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

    get silence() {
      return reachesAnybody() ? clock.monotonic() - Math.max(wroteAt, heardSince) : 0
    },

    async close(retry, within) {
      const all = [...listeners]
      const rounds = Math.max(1, Math.floor((within * 0.8) / CLOSING_EVERY))
      const most = Math.max(CLOSED_AT_ONCE, Math.ceil(all.length / rounds))
      for (let next = 0; next < all.length; next += most) {
        if (next > 0) await new Promise<void>((resolve) => clock.after(CLOSING_EVERY, resolve))
        // What waits for its tick goes before the goodbye: after it nothing can be written.
        flush()
        for (const listener of all.slice(next, next + most)) {
          if (!listeners.has(listener)) continue
          const goodbye = listener.wire.encode({ type: 'goodbye', retry: retry() })
          listener.connection.write(goodbye)
          listener.connection.close()
        }
      }
      sweeper?.stop()
    },
  }
}

/** What there is to say: of a channel, its latest entry. */
function said(news: Encoded<Entry | Notice>, wire: Wire): Buffer {
  return wire.said?.(news) ?? news.as(wire)
}

function newsOf(item: Pending, pending: readonly Pending[]): Channel | Encoded<Entry | Notice> | undefined {
  if (item instanceof Encoded) return item
  if (item instanceof ChannelHeartbeat) return undefined
  if (!(item instanceof Resumed)) {
    // It changed, and then a listener came that had it already.
    const had = pending.some((other) => other instanceof Resumed && other.channel === item && holds(other))
    return had || item.latest === undefined ? undefined : item
  }
  // It changed in the tick in which the listener came: said here, unless it is also told as all are.
  const { channel } = item
  return holds(item) || channel.latest === undefined || pending.includes(channel) ? undefined : channel
}

function pulseOf(item: Pending): ChannelHeartbeat | undefined {
  if (item instanceof ChannelHeartbeat) return item
  return item instanceof Resumed && holds(item) ? item.channel.pulse : undefined
}

function holds({ channel, known }: Resumed): boolean {
  return channel.latest !== undefined && compareVersions(channel.latest.version, known) === 0
}
