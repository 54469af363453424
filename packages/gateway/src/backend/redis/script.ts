import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** A script as Redis knows it. */
export interface Script {
  readonly source: string
  readonly sha: string
}

/** The script only reads, so replicas and a server without free memory run it too. */
export const READS = ' flags=no-writes'

/**
 * A script made of files of `lua/`, one after the other, as one chunk: a local of one part is known in the next. Redis 7 checks
 * `#!lua` scripts before it runs them: one that may not write (on a replica, or without memory) is refused as a whole, not midway.
 */
export function script(parts: readonly string[], flags = ''): Script {
  const texts = parts.map((part) => readFileSync(new URL(`lua/${part}.lua`, import.meta.url), 'utf8').trim())
  const source = `#!lua${flags}\n${texts.join('\n\n')}\n`
  return { source, sha: hash('sha1', source) }
}
