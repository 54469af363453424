import type { Problem } from './problem.ts'

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
  readonly value: unknown
}

/** The upstream has no value for this topic now; one may come. */
export interface Absent {
  readonly type: 'absent'
  readonly topic: string
  readonly version: string
  readonly changedAt: number
  readonly checkedAt: number
  readonly reason: string
}

/** One event of a log. */
export interface LogEvent {
  readonly type: 'event'
  readonly topic: string
  /** `epoch:offset`. A reader that comes back with it hears what followed. */
  readonly position: string
  /** When it was published, milliseconds since 1970 by the server's clock. */
  readonly at: number
  readonly event: unknown
}

/** Events of a log that a reader can not have any more: those after `from`, up to and including `to`. It goes on after `to`. */
export interface Gap {
  readonly type: 'gap'
  readonly topic: string
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
}

/** What a server says on a live connection. On SSE, `type` is the event's name and the rest its data. */
export type ServerMessage = Hello | Snapshot | Absent | LogEvent | Gap | Heartbeat | LevelChange | Failure | Goodbye
