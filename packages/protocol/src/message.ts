import type { SocketLimits } from './limits.ts'
import type { Problem } from './problem.ts'
import type { RequestId } from './request.ts'

/** How hard the gateway is pressed; it stretches intervals from `saver` on. */
export type Level = 'normal' | 'saver' | 'strained' | 'maintenance'

/** First on every connection. */
export interface Hello {
  readonly type: 'hello'
  /** The server's clock, milliseconds since 1970: ages are counted by it, not by the client's own. */
  readonly now: number
  /** A live connection is never silent for longer than this, in milliseconds. */
  readonly heartbeat: number
  readonly level: Level
  /**
   * Which caller the server serves on this connection: an opaque text, the same on each connection of the same caller. Missing where the
   * caller is not known, and where no value depends on it.
   */
  readonly caller?: string
  /** Of which line of epochs the versions are, where a message does not say it. Versions are compared only within one. */
  readonly lineage?: string
  /** What the server takes of a client on this connection. WebSocket only. */
  readonly limits?: SocketLimits
}

/** The whole value of a topic. */
export interface Snapshot {
  readonly type: 'snapshot'
  readonly topic: string
  /** `epoch:sequence`. */
  readonly version: string
  /** When the value became this, milliseconds since 1970 by the server's clock. */
  readonly changedAt: number
  /** When the upstream last confirmed it. */
  readonly checkedAt: number
  /** Set where the value was stale already when it came: made of others, of which one can not be confirmed. */
  readonly stale?: true
  /** Set where the version is of another lineage than those of the connection: the value comes from an origin. */
  readonly lineage?: string
  /** Set where the value is not everybody's. */
  readonly private?: true
  readonly value: unknown
  /** Set where it answers a `get`. */
  readonly id?: RequestId
}

/**
 * What changed of a value: a JSON Merge Patch (RFC 7396) on the version `from`, which is the last that this connection was sent.
 * A client that has another version drops it and subscribes anew. WebSocket only.
 */
export interface Patch {
  readonly type: 'patch'
  readonly topic: string
  readonly from: string
  readonly version: string
  readonly changedAt: number
  readonly checkedAt: number
  /** Set where the value was stale already when it came: made of others, of which one can not be confirmed. */
  readonly stale?: true
  /** As in a snapshot. */
  readonly lineage?: string
  readonly patch: unknown
}

/** The upstream has no value for this topic now; one may come. */
export interface Absent {
  readonly type: 'absent'
  readonly topic: string
  readonly version: string
  readonly changedAt: number
  readonly checkedAt: number
  /** Set where the value was stale already when it came: made of others, of which one can not be confirmed. */
  readonly stale?: true
  /** As in a snapshot. */
  readonly lineage?: string
  /** Set where the topic is not everybody's. */
  readonly private?: true
  readonly reason: string
  /** For how many milliseconds that is believed before the upstream is asked again, where it is known. */
  readonly for?: number
  /** True: none will ever come. */
  readonly never?: true
  /** Set where it answers a `get`. */
  readonly id?: RequestId
}

/** One event of a log. */
export interface LogEvent {
  readonly type: 'event'
  readonly topic: string
  /** `epoch:offset`. A reader that comes back with it hears what followed. */
  readonly position: string
  /** When it was published, milliseconds since 1970 by the server's clock. */
  readonly at: number
  /** As in a snapshot. */
  readonly lineage?: string
  /** Set where the log is not everybody's. */
  readonly private?: true
  readonly event: unknown
  /** Set where it answers a `get`. */
  readonly id?: RequestId
}

/** Events of a log that a reader can not have any more: those after `from`, up to and including `to`. It goes on after `to`. */
export interface Gap {
  readonly type: 'gap'
  readonly topic: string
  /** Of `to`, as in a snapshot. */
  readonly lineage?: string
  /** The position that the reader had. */
  readonly from: string
  readonly to: string
}

/** The value is still this version. Sent at the heartbeat, and at once when `stale` turns. */
export interface Heartbeat {
  readonly type: 'heartbeat'
  readonly topic: string
  /** Of a log: the position of its newest event. Not there while the topic never had a value. */
  readonly version?: string
  /** As in a snapshot. */
  readonly lineage?: string
  readonly checkedAt?: number
  /** True while the value is older than its feed allows because the upstream could not confirm it. */
  readonly stale: boolean
  readonly now: number
  readonly level: Level
}

/** The topic could not be had; the connection stays, and the next value comes by itself. */
export interface Failure {
  readonly type: 'error'
  readonly topic: string
  /** Set where the topic is not everybody's. */
  readonly private?: true
  readonly problem: Problem
}

/**
 * How many messages this connection was sent before this one, itself not counted. A client that got fewer has lost some, and
 * opens another connection. WebSocket only.
 */
export interface Beat {
  readonly type: 'heartbeat'
  readonly seq: number
  readonly now: number
  readonly level: Level
}

/** A topic is subscribed to; the answer to a `subscribe` with an `id`. */
export interface Subscribed {
  readonly type: 'subscribed'
  readonly id: RequestId
  /** The topic's one address, however it was asked for: other messages name it so. */
  readonly topic: string
}

/** The answer to a `publish`: the event is kept. */
export interface Published {
  readonly type: 'published'
  readonly id: RequestId
  /** Its place in the log. */
  readonly position: string
}

/** The answer to a `ping`. */
export interface Pong {
  readonly type: 'pong'
  readonly now: number
  readonly id?: RequestId
}

/** A message that could not be done as a whole: it answers a request by its `id`, or one that could not be read. */
export interface Refusal {
  readonly type: 'error'
  readonly id?: RequestId
  readonly problem: Problem
}

/** The level has changed. Said at once on every connection; `hello` and each heartbeat carry it too. */
export interface LevelChange {
  readonly type: 'level'
  readonly level: Level
  readonly now: number
}

/** The server is about to close; come back after `retry` milliseconds. */
export interface Goodbye {
  readonly type: 'goodbye'
  readonly retry: number
  /** Why, where the client has to do something before it comes back, such as renew its credential. */
  readonly problem?: Problem
}

/** What a server says on a live connection of any kind. On SSE, `type` is the event's name and the rest its data. */
export type ServerMessage = Hello | Snapshot | Absent | LogEvent | Gap | Heartbeat | LevelChange | Failure | Goodbye

/** What a server says on a WebSocket, each as one text message of JSON. */
export type SocketMessage = ServerMessage | Patch | Beat | Subscribed | Published | Pong | Refusal
