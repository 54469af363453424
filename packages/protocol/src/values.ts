import type { Absent, Failure, Level, LogEvent, Snapshot } from './message.ts'

/** The answer to `GET /weir/values`: one item per requested topic, in the same order. */
export interface Values {
  /** The server's clock, milliseconds since 1970. */
  readonly now: number
  readonly level: Level
  /** The caller that was served, as in `hello`. */
  readonly caller?: string
  /** The lineage of the versions, as in `hello`. */
  readonly lineage?: string
  readonly values: readonly ValueOf[]
}

/** A value, its absence, or an error. An error does not affect the other items. */
export type ValueOf =
  | (Omit<Snapshot, 'type'> & Confirmed)
  | (Omit<Absent, 'type'> & Confirmed)
  /** The newest event of a log, or its position if it keeps no event. */
  | Omit<LogEvent, 'type'>
  | Pick<LogEvent, 'topic' | 'private' | 'lineage' | 'position'>
  /** The topic as it was requested. */
  | Omit<Failure, 'type'>

interface Confirmed {
  /** True while the value is older than its feed allows because the upstream could not confirm it. */
  readonly stale: boolean
}
