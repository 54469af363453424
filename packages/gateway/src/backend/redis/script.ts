import { hash } from 'node:crypto'

/** A script as Redis knows it. */
export interface Script {
  readonly source: string
  readonly sha: string
}

/** `#!lua` lets Redis refuse a script as a whole when it may not write (a replica, no memory), instead of in its midst. */
export function script(body: string): Script {
  const source = `#!lua\n${body.trim()}\n`
  return { source, sha: hash('sha1', source) }
}
