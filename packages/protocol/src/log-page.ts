import type { Gap, LogEvent } from './message.ts'

/** The answer to `GET` of a log: events in order, oldest first. */
export interface LogPage {
  readonly events: readonly Pick<LogEvent, 'position' | 'at' | 'event'>[]
  /** The position of the oldest kept event, or of the next event if none is kept. */
  readonly oldest: string
  /** The position of the newest event. A reader without an event continues after it. */
  readonly newest: string
  /** The lineage of the positions, as in `hello`. */
  readonly lineage?: string
  /** Requested events that are lost; missing if there are none. */
  readonly gap?: Pick<Gap, 'from' | 'to'>
  /** Set if the log is private, with the caller that was served, as in `hello`. */
  readonly private?: true
  readonly caller?: string
}
