import { compareVersions, type ServerMessage, type Version } from '@weir/protocol'
import type { Connection, ConnectionOwner } from '../call.ts'
import { Encoded, type Encoding, type Entry } from '../entry.ts'

/** A message that is sent once and not kept: heartbeats, failures, goodbyes. */
export type Notice = Exclude<ServerMessage, { type: 'snapshot' | 'absent' }>

/** An entry or a notice, encoded once for each form. */
export type Message = Encoded<Entry | Notice>

/** One way to encode what the hub sends. */
export interface Wire extends Encoding<Entry | Notice> {
  /** The bytes of a message, for a wire that keeps them itself. By default they are kept with the message. */
  said?(message: Message): Buffer
  /** How an entry is encoded for a listener that has the one before it, where that may be shorter. */
  readonly steps?: Steps
}

/** An entry, and the one before it that a listener without lag has. */
export interface Step {
  readonly from: Entry
  readonly to: Entry
}

export interface Steps extends Encoding<Step> {
  /** Whether a connection takes steps of a topic. */
  taken(connection: Connection, topic: string): boolean
}

/** A topic with its listeners. */
export interface Channel {
  readonly topic: string
  /** Listeners of the whole feed get every topic in it. */
  readonly parent: Channel | undefined
  readonly listeners: Set<Listener>
  latest: Entry | undefined
  /** The latest entry as of the last flush, which every listener without lag has. */
  lastFlushed: Entry | undefined
  /** From that entry to the latest, during a flush. */
  delta: Encoded<Step> | undefined
  /** The messages of a log; a feed's channel has none. */
  tail: Tail | undefined
  /** Why there never was an entry, as it was sent last. Without meaning once there is one. */
  failure: Message | undefined
  stale: boolean
  /** Whether the next flush sends its latest entry. */
  dirty: boolean
  /** Whether anything was sent since the last sweep. */
  activeSinceSweep: boolean
  readonly heartbeat: ChannelHeartbeat
}

/** Says that the latest entry still holds. It is encoded when it is sent, so that it covers what was published in the same tick. */
export class ChannelHeartbeat {
  readonly channel: Channel
  /** The last message, and when it was made, on the monotonic clock. */
  made: { readonly at: number; readonly message: Message } | undefined

  constructor(channel: Channel) {
    this.channel = channel
  }
}

/** A listener that came back with a version: it gets a heartbeat if that still holds, otherwise the latest entry. */
export class Resumed {
  readonly channel: Channel
  readonly known: Version

  constructor(channel: Channel, known: Version) {
    this.channel = channel
    this.known = known
  }

  /** Whether the version is still the latest. */
  get holds(): boolean {
    const { latest } = this.channel
    return latest !== undefined && compareVersions(latest.version, this.known) === 0
  }
}

/** The latest messages of a log, counted in the order in which they came. The count never goes back. */
export interface Tail {
  /** The count of the oldest message that is there. */
  readonly first: number
  /** The position of the newest event. */
  readonly newest: Version
  /** Its lineage, if it is an origin's. */
  readonly lineage: string | undefined
  /** Undefined if the message is gone, or yet to come. */
  at(count: number): Message | undefined
}

/** How far a listener has come in a log. The messages themselves are in the tail, which all listeners share. */
export class LogCursor {
  readonly channel: Channel
  readonly #tail: Tail
  #next: number
  /** What the listener missed, sent before anything else. */
  #gap: Message | undefined

  constructor(channel: Channel, tail: Tail, next: number, gap: Notice | undefined) {
    this.channel = channel
    this.#tail = tail
    this.#next = next
    this.#gap = gap === undefined ? undefined : new Encoded<Entry | Notice>(gap)
  }

  /** The next message to send. */
  get message(): Message | undefined {
    return this.#gap ?? this.#tail.at(this.#next)
  }

  /** That message was sent. */
  pass(): void {
    if (this.#gap === undefined) this.#next += 1
    this.#gap = undefined
  }

  /** The next message is not kept any more. */
  get lost(): boolean {
    return this.#next < this.#tail.first
  }
}

/** Something to send with the next flush. */
export type Pending = Channel | ChannelHeartbeat | Resumed | Message

/** A connection and what is to be sent to it. Its memory grows with its topics, never with messages. */
export class Listener implements ConnectionOwner {
  readonly connection: Connection
  readonly wire: Wire
  readonly channels: Channel[] = []
  readonly pending: Pending[] = []
  /** Whether something pending was not put there by a flush: only a flush adds each item at most once a tick. */
  mixed = false
  /** Whether it listens to more than one topic, so that one tick may have several items for it. */
  several = false
  /** While the peer lags: the topics that changed. Their latest entries follow when it has caught up. */
  lagging: Set<Channel> | undefined
  /** Channels whose last flushed entry it may not have, so that it gets a whole entry next. */
  needsFull: Set<Channel> | undefined
  /** Its positions in the logs among its channels. */
  cursors: Map<Pending, LogCursor> | undefined
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

export interface ListenerHub {
  drained(listener: Listener): void
  closed(listener: Listener): void
}
