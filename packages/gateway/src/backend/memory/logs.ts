import type { Clock } from '../../clock.ts'
import type { LogPage, Logs } from '../ports.ts'

interface Line {
  readonly offset: number
  readonly at: number
  readonly event: Buffer
  /** Moment on the monotonic clock: the history must not shrink because the wall clock jumped. */
  readonly since: number
}

interface Log {
  lines: Line[]
  newest: number
  /** Milliseconds, as the last to add an event said. */
  age: number
}

/** Histories in this process's memory, each bounded by number and age. */
export function memoryLogs(clock: Clock): Logs {
  const logs = new Map<string, Log>()

  /** Drops what is too old or too many. */
  function trim({ lines, age }: Log, events: number): void {
    const now = clock.monotonic()
    const young = lines.findIndex((line) => line.since > now - age)
    const surplus = Math.max(lines.length - events, young === -1 ? lines.length : young)
    if (surplus > 0) lines.splice(0, surplus)
  }

  return {
    async append(name, event, { events, age }) {
      const log = logs.get(name) ?? { lines: [], newest: 0, age }
      logs.set(name, log)
      log.age = age
      log.newest += 1
      log.lines.push({ offset: log.newest, at: clock.now(), event, since: clock.monotonic() })
      trim(log, events)
      return log.newest
    },

    async read(name, after, most): Promise<LogPage> {
      const log = logs.get(name)
      if (log === undefined) return { events: [], oldest: 0, newest: 0 }
      trim(log, Number.POSITIVE_INFINITY)
      const oldest = log.lines[0]?.offset ?? log.newest + 1
      // Offsets have no holes, so the place of one follows from the oldest.
      const from = Math.max(0, after + 1 - oldest)
      const events = log.lines.slice(from, from + most).map(({ offset, at, event }) => ({ offset, at, event }))
      return { events, oldest, newest: log.newest }
    },
  }
}
