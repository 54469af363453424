import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program that tests run for real, and that npm does not bring. */
export interface Program {
  /** As a person calls it. */
  readonly name: string
  /** What it may be called on PATH, the best first. */
  readonly commands: readonly string[]
  /** The package of Debian and Ubuntu. */
  readonly apt: string
  /** The variable that says where it is, if there is one: it is believed, and set for the tests when it is not. */
  readonly variable?: string
}

/** Every program the tests need. */
export const NEEDED: readonly Program[] = [
  {
    name: 'Chromium',
    commands: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    apt: 'chromium',
    variable: 'CHROMIUM_PATH',
  },
  { name: 'Redis', commands: ['redis-server'], apt: 'redis-server' },
  { name: 'curl', commands: ['curl'], apt: 'curl' },
  // Debian puts it where only root's PATH leads.
  { name: 'nginx', commands: ['nginx'], apt: 'nginx', variable: 'NGINX_PATH' },
]

export type Environment = Readonly<Record<string, string | undefined>>

/** Where a program is on this machine; undefined when it is not. */
export function find(program: Program, environment: Environment): string | undefined {
  const named = program.variable === undefined ? undefined : environment[program.variable]
  if (named !== undefined && named !== '') return runnable(named) ? named : undefined
  const folders = (environment.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const places = program.commands.flatMap((command) => folders.map((folder) => join(folder, command)))
  return places.find(runnable)
}

/** What the programs' variables are to be for the tests; a text instead says what is missing and how to get it. */
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

/** Installs what is missing, where that is possible without asking: as root, with apt-get. */
export function install(programs: readonly Program[], environment: Environment): void {
  // One that a variable points at is not found anywhere else, so installing it would help nobody.
  const missing = programs.filter(
    (program) => find(program, environment) === undefined && !isNamed(program, environment),
  )
  const apt = find({ name: 'apt', commands: ['apt-get'], apt: 'apt' }, environment)
  if (missing.length === 0 || apt === undefined || process.getuid?.() !== 0) return
  // At runlevel 1 the packages' services are not started: a Redis nobody asked for would sit on its usual port.
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
