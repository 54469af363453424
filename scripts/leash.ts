import { existsSync } from 'node:fs'

/** A program of util-linux that ties the life of a process to its parent. Other systems lack it. */
const SETPRIV = '/usr/bin/setpriv'

/**
 * Wraps a command so that the program exits with this process, even when this process is killed. A stopped test run therefore leaves
 * nothing running. The program keeps its process id, so signals reach it.
 */
export function leashed(program: string, args: readonly string[]): readonly [program: string, args: string[]] {
  if (!existsSync(SETPRIV)) return [program, [...args]]
  return [SETPRIV, ['--pdeathsig', 'KILL', '--', program, ...args]]
}
