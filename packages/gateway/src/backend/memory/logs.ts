import type { Clock } from '../../clock.ts'
import type { LogPage, Logs } from '../ports.ts'

interface Line {
  readonly offset: number
  readonly at: number
  readonly event: Buffer
}

/** Histories in this process's memory, each bounded by number and age. */
export function memoryLogs(clock: Clock): Logs {
  const logs = new Map<string, { lines: Line[]; newest: number }>()

  return {
    async append(name, event, { events, age }) {
      const log = logs.get(name) ?? { lines: [], newest: 0 }
      logs.set(name, log)
      const now = clock.now()
      log.newest += 1
      log.lines.push({ offset: log.newest, at: now, event })
      const young = log.lines.findIndex((line) => line.at > now - age)
      const surplus = Math.max(log.lines.length - events, young === -1 ? log.lines.length : young)
      if (surplus > 0) log.lines.splice(0, surplus)
      return log.newest
    },

    async read(name, after, most): Promise<LogPage> {
      const log = logs.get(name)
      if (log === undefined) return { events: [], oldest: 0, newest: 0 }
      const oldest = log.lines[0]?.offset ?? 0
      // Offsets have no holes, so the place of one follows from the oldest.
      const from = Math.max(0, after + 1 - oldest)
      return { events: log.lines.slice(from, from + most), oldest, newest: log.newest }
    },
  }
}
