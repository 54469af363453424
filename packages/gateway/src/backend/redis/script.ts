import { hash } from 'node:crypto'

/** A script as Redis knows it. */
export interface Script {
  readonly source: string
  readonly sha: string
}

/** Only reads: a replica does it too, and a server without memory. */
export const READS = ' flags=no-writes'

/** `#!lua` lets Redis refuse a script as a whole when it may not write (a replica, no memory), instead of in its midst. */
export function script(body: string, flags = ''): Script {
  const source = `#!lua${flags}\n${body.trim()}\n`
  return { source, sha: hash('sha1', source) }
}
