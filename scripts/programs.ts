import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program that tests need and npm does not install. */
export interface Program {
  /** Display name. */
  readonly name: string
  /** Names on PATH, in order of preference. */
  readonly commands: readonly string[]
  /** The package in Debian and Ubuntu. */
  readonly apt: string
  /** An environment variable with its path. If it is unset, the tests get the path that was found. */
  readonly variable?: string
}

/** All programs that the tests need. */
export const NEEDED: readonly Program[] = [
  {
    name: 'Chromium',
    commands: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    apt: 'chromium',
    variable: 'CHROMIUM_PATH',
  },
  { name: 'Redis', commands: ['redis-server'], apt: 'redis-server' },
  { name: 'curl', commands: ['curl'], apt: 'curl' },
  // Debian installs it in a folder that only root's PATH contains.
  { name: 'nginx', commands: ['nginx'], apt: 'nginx', variable: 'NGINX_PATH' },
]

export type Environment = Readonly<Record<string, string | undefined>>

/** Finds the path of a program; undefined when it is missing. */
export function find(program: Program, environment: Environment): string | undefined {
  const named = program.variable === undefined ? undefined : environment[program.variable]
  if (named !== undefined && named !== '') return runnable(named) ? named : undefined
  const folders = (environment.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const places = program.commands.flatMap((command) => folders.map((folder) => join(folder, command)))
  return places.find(runnable)
}

/** Returns the environment variables for the tests, or a message about missing programs. */
export function locate(programs: readonly Program[], environment: Environment): Record<string, string> | string {
  const missing = programs.filter((program) => find(program, environment) === undefined)
  if (missing.length > 0) return complaint(missing, environment)
  const variables: Record<string, string> = {}
  for (const program of programs) {
    const path = find(program, environment)
    if (program.variable !== undefined && path !== undefined) variables[program.variable] = path
  }
  return variables
}

/** Installs missing programs with apt-get, if this process runs as root. */
export function install(programs: readonly Program[], environment: Environment): void {
  // A program with a variable is only looked up there, so installing it would not help.
  const missing = programs.filter(
    (program) => find(program, environment) === undefined && !isNamed(program, environment),
  )
  const apt = find({ name: 'apt', commands: ['apt-get'], apt: 'apt' }, environment)
  if (missing.length === 0 || apt === undefined || process.getuid?.() !== 0) return
  // At runlevel 1, packages start no services. Otherwise Redis would occupy its default port.
  const options: SpawnSyncOptions = {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...environment, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  }
  process.stdout.write(`Installing ${missing.map((program) => program.name).join(' and ')} with apt-get.\n`)
  spawnSync(apt, ['update', '-qq'], options)
  const packages = missing.map((program) => program.apt)
  spawnSync(apt, ['install', '-y', '-qq', '--no-install-recommends', ...packages], options)
}

function complaint(missing: readonly Program[], environment: Environment): string {
  const named = missing.find((program) => isNamed(program, environment))
  if (named?.variable !== undefined) {
    return `${named.variable} is to be the path of ${named.name}, but ${environment[named.variable]} is no program.`
  }
  const names = missing.map((program) => program.name).join(' and ')
  const packages = missing.map((program) => program.apt).join(' ')
  const variables = missing.flatMap(({ variable }) => (variable === undefined ? [] : [`, or set ${variable}`])).join('')
  return `The tests need ${names}, not found here: install with "sudo apt-get install ${packages}"${variables}.`
}

function isNamed({ variable }: Program, environment: Environment): boolean {
  return variable !== undefined && (environment[variable] ?? '') !== ''
}

function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
