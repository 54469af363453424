import type { Version } from '@weir/protocol'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../clock.ts'
import type { LogBounds, LogHistory, LogLine, Logs } from '../ports.ts'

interface Kept extends LogLine {
  /** Moment on the monotonic clock: the history must not shrink because the wall clock jumped. */
  readonly since: number
}

interface Log {
  readonly epoch: number
  readonly lines: Kept[]
  readonly newest: number
  /** Of all lines. */
  bytes: number
  /** As the last to add an event said. */
  readonly bounds: LogBounds
}

/** Bytes that a line and a log take beside the event. */
const LINE = 120
const LOG = 300

/** No history takes more than this part of all memory, so that one log does not push out the others. */
const PART = 1 / 4

/** Of a log that has no event. */
const NONE: LogBounds = { events: 0, age: 0 }

/**
 * Histories in this process's memory, each bounded by number and age, and all of them in bytes. A log that falls out begins a new,
 * larger epoch when it returns.
 */
export function memoryLogs(clock: Clock, bytes: number): Logs {
  const listeners = new Map<string, Set<(line: LogLine) => void>>()
  // What a log has of which nothing is known: larger than that of any log that was lost, also in the same millisecond.
  let epoch = clock.now()
  const logs = new LRUCache<string, Log>({
    maxSize: bytes,
    sizeCalculation: (log) => LOG + log.bytes,
    dispose: (_log, _name, reason) => {
      if (reason !== 'set') epoch = Math.max(clock.now(), epoch + 1)
    },
  })

  /** Drops what is too old or too many. */
  function trim(log: Log): void {
    const { lines, bounds } = log
    const before = clock.monotonic() - bounds.age
    let surplus = Math.max(0, lines.length - bounds.events)
    for (let at = 0; at < lines.length; at++) {
      const line = lines[at]
      if (line === undefined || (at >= surplus && line.since > before && log.bytes <= bytes * PART)) break
      log.bytes -= sizeOf(line)
      surplus = Math.max(surplus, at + 1)
    }
    if (surplus > 0) lines.splice(0, surplus)
  }

  function current(name: string): Log {
    return logs.get(name) ?? { epoch, lines: [], newest: 0, bytes: 0, bounds: NONE }
  }

  function add(name: string, before: Log, event: Buffer, bounds: LogBounds): Version {
    // A new object: the cache would not look at the size of one that it has.
    const log: Log = { ...before, newest: before.newest + 1, bounds }
    const line = { epoch: log.epoch, offset: log.newest, at: clock.now(), event, since: clock.monotonic() }
    log.lines.push(line)
    log.bytes += sizeOf(line)
    trim(log)
    logs.set(name, log)
    for (const listener of listeners.get(name) ?? []) listener(line)
    return { epoch: line.epoch, sequence: line.offset }
  }

  return {
    append: async (name, event, bounds) => add(name, current(name), event, bounds),

    async appendAfter(name, after, event, bounds) {
      const before = current(name)
      return after.epoch === before.epoch && after.sequence === before.newest
        ? add(name, before, event, bounds)
        : undefined
    },

    async read(name, after, most): Promise<LogHistory> {
      const log = logs.get(name)
      if (log === undefined) return { events: [], epoch, oldest: 1, newest: 0 }
      trim(log)
      const oldest = log.lines[0]?.offset ?? log.newest + 1
      // Offsets have no holes, so the place of one follows from the oldest.
      const from = Math.max(0, after + 1 - oldest)
      return { events: log.lines.slice(from, from + most), epoch: log.epoch, oldest, newest: log.newest }
    },

    subscribe(name, listener) {
      const known = listeners.get(name) ?? new Set()
      listeners.set(name, known.add(listener))
      return () => {
        known.delete(listener)
        if (known.size === 0 && listeners.get(name) === known) listeners.delete(name)
      }
    },
  }
}

function sizeOf({ event }: LogLine): number {
  return LINE + event.byteLength
}
