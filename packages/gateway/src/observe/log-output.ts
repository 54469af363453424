import { write } from 'node:fs'

/** Limit of buffered log output, in bytes. */
const BUFFER_LIMIT = 1_048_576

/** Receives log lines. */
export interface LogOutput {
  write(line: string): void
}

/**
 * Writes lines to a file descriptor asynchronously, so that a stuck reader does not block the event loop. Output that a stuck reader
 * or a full disk does not take is lost. pino's own destinations would wait for it forever when the process exits.
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
      // A full non-blocking pipe, which may accept the lines later.
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
      if (bytes + line.length > BUFFER_LIMIT) return
      bytes += line.length
      waiting.push(line)
      next()
    },
  }
}
