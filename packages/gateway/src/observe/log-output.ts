import { write } from 'node:fs'

/** Bytes that may wait for a reader of the log. */
const MOST_UNREAD = 1_048_576

/** Where log lines go. */
export interface LogOutput {
  write(line: string): void
}

/**
 * Writes lines to a file descriptor beside the event loop: a reader that stands still holds up nothing, and what it leaves unread, or
 * a full disk has no room for, is lost. pino's own destinations wait for either when the process ends, for ever.
 */
export function logOutput(descriptor: number): LogOutput {
  let waiting: string[] = []
  let bytes = 0
  let writing = false

  function next(): void {
    if (writing || waiting.length === 0) return
    const lines = Buffer.from(waiting.join(''))
    waiting = []
    bytes = 0
    writing = true
    put(lines)
  }

  function put(rest: Buffer): void {
    write(descriptor, rest, (error, written) => {
      if (error === null && written < rest.length) return put(rest.subarray(written))
      // A pipe that takes nothing now and does not block: the lines behind may fare better in a moment.
      if (error?.code === 'EAGAIN') {
        setTimeout(put, 100, rest).unref()
        return
      }
      writing = false
      next()
    })
  }

  return {
    write(line) {
      if (bytes + line.length > MOST_UNREAD) return
      bytes += line.length
      waiting.push(line)
      next()
    },
  }
}
