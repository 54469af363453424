import { existsSync } from 'node:fs'

/** The program of util-linux that has the system end a process with its parent; on other systems there is none. */
const SETPRIV = '/usr/bin/setpriv'

/**
 * How to start a program so that it ends when this process does, also when this one is killed: a test run that is stopped
 * leaves nothing running. The program keeps its process id, so signals reach it.
 */
export function leashed(program: string, args: readonly string[]): readonly [program: string, args: string[]] {
  if (!existsSync(SETPRIV)) return [program, [...args]]
  return [SETPRIV, ['--pdeathsig', 'KILL', '--', program, ...args]]
}
