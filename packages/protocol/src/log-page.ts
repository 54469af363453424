import type { Gap, LogEvent } from './message.ts'

/** What `GET` of a log answers: events in order, oldest first. */
export interface LogPage {
  readonly events: readonly Pick<LogEvent, 'position' | 'at' | 'event'>[]
  /** The position of the oldest event that is kept; of the next to come when none is. */
  readonly oldest: string
  /** The position of the newest event: a reader that has no event yet goes on after it. */
  readonly newest: string
  /** Of which line of epochs the positions are, as in `hello`. */
  readonly lineage?: string
  /** What was asked for and can not be had any more; not there when nothing is missing. */
  readonly gap?: Pick<Gap, 'from' | 'to'>
  /** Set where the log is not everybody's, with the caller who was served, as in `hello`. */
  readonly private?: true
  readonly caller?: string
}
