import type { SocketLimits } from './limits.ts'
import type { Problem } from './problem.ts'
import type { RequestId } from './request.ts'

/** The operating mode of the gateway; it extends intervals from `saver` on. */
export type Level = 'normal' | 'saver' | 'strained' | 'maintenance'

/** First on every connection. */
export interface Hello {
  readonly type: 'hello'
  /** The server's clock, milliseconds since 1970. Ages are measured by it, not by the client's clock. */
  readonly now: number
  /** Maximum silence of a live connection, in milliseconds. */
  readonly heartbeat: number
  readonly level: Level
  /**
   * The caller for which the server answers: an opaque text, the same on each connection of a caller. Missing if the
   * caller is unknown, or if no value depends on it.
   */
  readonly caller?: string
  /** The lineage of versions in messages that do not name one. Versions are compared only within a lineage. */
  readonly lineage?: string
  /** The limits of a client on this connection. WebSocket only. */
  readonly limits?: SocketLimits
}

/** The whole value of a topic. */
export interface Snapshot {
  readonly type: 'snapshot'
  readonly topic: string
  /** `epoch:sequence`. */
  readonly version: string
  /** When the value changed to this, milliseconds since 1970 by the server's clock. */
  readonly changedAt: number
  /** When the upstream last confirmed it. */
  readonly checkedAt: number
  /** Set if the value was already stale on arrival, such as a derived value with an unconfirmed part. */
  readonly stale?: true
  /** Set if the version has another lineage than the connection: the value comes from an origin. */
  readonly lineage?: string
  /** Set if the value is private. */
  readonly private?: true
  readonly value: unknown
  /** Set in the answer to a `get`. */
  readonly id?: RequestId
}

/**
 * A change of a value: a JSON Merge Patch (RFC 7396) on the version `from`, the last one sent on this connection. A
 * client that has another version drops the patch and subscribes again. WebSocket only.
 */
export interface Patch {
  readonly type: 'patch'
  readonly topic: string
  readonly from: string
  readonly version: string
  readonly changedAt: number
  readonly checkedAt: number
  /** Set if the value was already stale on arrival, such as a derived value with an unconfirmed part. */
  readonly stale?: true
  /** As in a snapshot. */
  readonly lineage?: string
  readonly patch: unknown
}

/** The upstream has no value for this topic now, but may have one later. */
export interface Absent {
  readonly type: 'absent'
  readonly topic: string
  readonly version: string
  readonly changedAt: number
  readonly checkedAt: number
  /** Set if the value was already stale on arrival, such as a derived value with an unconfirmed part. */
  readonly stale?: true
  /** As in a snapshot. */
  readonly lineage?: string
  /** Set if the topic is private. */
  readonly private?: true
  readonly reason: string
  /** Milliseconds until the upstream is called again, if known. */
  readonly for?: number
  /** No value will ever exist. */
  readonly never?: true
  /** Set in the answer to a `get`. */
  readonly id?: RequestId
}

/** One event of a log. */
export interface LogEvent {
  readonly type: 'event'
  readonly topic: string
  /** `epoch:offset`. A reader that returns with it receives the events that followed. */
  readonly position: string
  /** When it was published, milliseconds since 1970 by the server's clock. */
  readonly at: number
  /** As in a snapshot. */
  readonly lineage?: string
  /** Set if the log is private. */
  readonly private?: true
  readonly event: unknown
  /** Set in the answer to a `get`. */
  readonly id?: RequestId
}

/** Lost events of a log: those after `from`, up to and including `to`. The reader continues after `to`. */
export interface Gap {
  readonly type: 'gap'
  readonly topic: string
  /** The lineage of `to`, as in a snapshot. */
  readonly lineage?: string
  /** The position of the reader. */
  readonly from: string
  readonly to: string
}

/** The value still has this version. Sent at each heartbeat, and at once when `stale` changes. */
export interface Heartbeat {
  readonly type: 'heartbeat'
  readonly topic: string
  /** For a log, the position of its newest event. Missing while the topic never had a value. */
  readonly version?: string
  /** As in a snapshot. */
  readonly lineage?: string
  readonly checkedAt?: number
  /** True while the value is older than its feed allows because the upstream could not confirm it. */
  readonly stale: boolean
  readonly now: number
  readonly level: Level
}

/** The topic is not available. The connection stays open, and the next value follows when there is one. */
export interface Failure {
  readonly type: 'error'
  readonly topic: string
  /** Set if the topic is private. */
  readonly private?: true
  readonly problem: Problem
}

/**
 * The number of messages sent on this connection before this one. A client that received fewer has lost some, and opens
 * another connection. WebSocket only.
 */
export interface Beat {
  readonly type: 'heartbeat'
  readonly seq: number
  readonly now: number
  readonly level: Level
}

/** The answer to a `subscribe` with an `id`. */
export interface Subscribed {
  readonly type: 'subscribed'
  readonly id: RequestId
  /** The canonical address of the topic, by which other messages name it. */
  readonly topic: string
}

/** The answer to a `publish`: the event is kept. */
export interface Published {
  readonly type: 'published'
  readonly id: RequestId
  /** Its position in the log. */
  readonly position: string
}

/** The answer to a `ping`. */
export interface Pong {
  readonly type: 'pong'
  readonly now: number
  readonly id?: RequestId
}

/** A failed message: answers a request by its `id`, or a message that was unreadable. */
export interface Refusal {
  readonly type: 'error'
  readonly id?: RequestId
  readonly problem: Problem
}

/** The level has changed. Sent at once on every connection; `hello` and each heartbeat carry the level too. */
export interface LevelChange {
  readonly type: 'level'
  readonly level: Level
  readonly now: number
}

/** The server is about to close. Reconnect after `retry` milliseconds. */
export interface Goodbye {
  readonly type: 'goodbye'
  readonly retry: number
  /** The reason, if the client must do something before it reconnects, such as renew its credential. */
  readonly problem?: Problem
}

/**
 * Messages of a server on a live connection of any kind. On SSE, `type` is the event's name and the other fields its
 * data.
 */
export type ServerMessage = Hello | Snapshot | Absent | LogEvent | Gap | Heartbeat | LevelChange | Failure | Goodbye

/** Messages of a server on a WebSocket, each one text message of JSON. */
export type SocketMessage = ServerMessage | Patch | Beat | Subscribed | Published | Pong | Refusal
