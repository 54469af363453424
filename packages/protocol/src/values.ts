import type { Absent, Failure, Level, LogEvent, Snapshot } from './message.ts'

/** What `GET /weir/values` answers: one for each topic that was asked for, in that order. */
export interface Values {
  /** The server's clock, milliseconds since 1970. */
  readonly now: number
  readonly level: Level
  /** Which caller was served, as in `hello`. */
  readonly caller?: string
  /** Of which line of epochs the versions are, as in `hello`. */
  readonly lineage?: string
  readonly values: readonly ValueOf[]
}

/** A value, that there is none, or why it could not be had. One that fails leaves the others as they are. */
export type ValueOf =
  | (Omit<Snapshot, 'type'> & Confirmed)
  | (Omit<Absent, 'type'> & Confirmed)
  /** The newest event of a log, or where it stands while it keeps none. */
  | Omit<LogEvent, 'type'>
  | Pick<LogEvent, 'topic' | 'private' | 'lineage' | 'position'>
  /** The topic as it was asked for. */
  | Omit<Failure, 'type'>

interface Confirmed {
  /** True while the value is older than its feed allows because the upstream could not confirm it. */
  readonly stale: boolean
}
