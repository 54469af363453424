import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { LEVELS } from '../admission/level.ts'
import { ConfigError } from '../errors.ts'
import { GATEWAY_OPTIONS, START_OPTIONS } from '../options/gateway.ts'
import { knownOr, readOptions } from '../options.ts'
import { check } from './check.ts'
import { doctor } from './doctor.ts'
import { start } from './start.ts'
import { type CommandLine, UsageError } from './usage.ts'

/** Gateway options with a flag: all but those whose value is code. */
const FLAGS = Object.entries(GATEWAY_OPTIONS).filter(([, { kind }]) => kind !== 'any')

/** Every flag of the command. */
const OPTIONS: Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string }>> = {
  help: { type: 'boolean', short: 'h' },
  port: { type: 'string' },
  host: { type: 'string' },
  level: { type: 'string' },
  ...Object.fromEntries(Object.keys(START_OPTIONS).map((name) => [name, { type: 'string' }] as const)),
  ...Object.fromEntries(FLAGS.map(([name]) => [flagOf(name), { type: 'string' }] as const)),
}

/** The flag of an option: `redisCa` is `--redis-ca`. */
function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

const COMMANDS: Readonly<Record<string, { readonly help: string; run(line: CommandLine): Promise<number> }>> = {
  start: { help: 'serve apps, each on its own port: the first on --port, the others on the ports above', run: start },
  check: { help: 'validate apps without serving them', run: check },
  doctor: { help: 'check the capacity of this machine, Redis, and whether upstreams are reachable', run: doctor },
}

const HELP = `weir: a gateway between one scarce upstream and a hundred thousand clients

  weir COMMAND APP… [options]        an APP is a folder with an app.ts, or a file

${Object.entries(COMMANDS)
  .map(([name, { help }]) => `  ${name.padEnd(8)} ${help}`)
  .join('\n')}

  --port N         port of the first app (default: PORT, or 8080)
  --host ADDRESS   address to listen on (default: HOST, or 127.0.0.1; 0.0.0.0 for all interfaces)
  --level LEVEL    level at start: normal, saver (freshness and poll intervals three times as long), strained
                   (ten times, non-essential feeds suspended) or maintenance (every request refused)
${[...Object.entries(START_OPTIONS), ...FLAGS].map(([name, { help }]) => `  --${flagOf(name).padEnd(14)} ${help}`).join('\n')}

  SIGUSR2 moves a running gateway to the next level: normal, saver, strained, then normal again (kill -USR2 PID).
  With --workers, SIGHUP restarts the workers one by one without dropping requests (kill -HUP PID).
`

// A closed pipe or a full disk loses output. It must not stop the service.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = read(args)
    const [name, ...apps] = positionals
    if (values.help === true || name === undefined) {
      process.stdout.write(HELP)
      return name === undefined && values.help !== true ? 2 : 0
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (command === undefined) {
      throw new UsageError(`expected ${knownOr('command', name, Object.keys(COMMANDS))}, got "${name}"`)
    }
    return await command.run({ apps, ...addressOf(values), ...workersOf(values), options: optionsOf(values) })
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ConfigError)) throw error
    process.stderr.write(`weir: ${error.message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

interface Arguments {
  readonly values: Readonly<Record<string, unknown>>
  readonly positionals: readonly string[]
}

/** Not strict, since Node's parser would report errors in a form of its own. */
function read(args: readonly string[]): Arguments {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined
    if (option === undefined) {
      const known = Object.keys(OPTIONS).map((option) => `--${option}`)
      throw new UsageError(`${rawName}: expected ${knownOr('option', rawName, known)}, got "${rawName}"`)
    }
    if (option.type === 'string' && value === undefined) {
      throw new UsageError(`${rawName}: expected a value, got nothing`)
    }
    if (option.type === 'boolean' && value !== undefined) {
      throw new UsageError(`${rawName}: expected no value, got "${value}"`)
    }
  }
  return { values, positionals }
}

function addressOf(values: Readonly<Record<string, unknown>>): Pick<CommandLine, 'port' | 'host' | 'level'> {
  const given = values.port ?? process.env.PORT ?? '8080'
  const port = Number(given)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`port: expected a number from 0 to 65535, got ${JSON.stringify(given)}`)
  }
  const { level: name = 'normal' } = values
  const level = LEVELS.find((level) => level === name)
  if (level === undefined) {
    throw new UsageError(`level: expected ${knownOr('level', String(name), LEVELS)}, got ${JSON.stringify(name)}`)
  }
  return { port, host: String(values.host ?? process.env.HOST ?? '127.0.0.1'), level }
}

function workersOf(values: Readonly<Record<string, unknown>>): Pick<CommandLine, 'workers' | 'workerMemory'> {
  const given = values.workers ?? (process.env.WEIR_WORKERS || undefined)
  const workers = given === 'max' ? availableParallelism() : given === undefined ? undefined : Number(given)
  if (workers !== undefined && (!Number.isInteger(workers) || workers < 1)) {
    throw new UsageError(`workers: expected a number from 1, or "max", got ${JSON.stringify(given)}`)
  }
  const table = { 'worker-memory': START_OPTIONS['worker-memory'] }
  const read = readOptions('weir start', table, { 'worker-memory': values['worker-memory'] })
  return { workers, workerMemory: read['worker-memory'] }
}

function optionsOf(values: Readonly<Record<string, unknown>>): CommandLine['options'] {
  const fromEnvironment: Readonly<Record<string, string | undefined>> = {
    redis: process.env.REDIS_URL || undefined,
    origin: process.env.WEIR_ORIGIN || undefined,
  }
  return Object.fromEntries(
    FLAGS.flatMap(([name, { kind }]) => {
      const given = values[flagOf(name)] ?? fromEnvironment[name]
      if (given === undefined) return []
      return [[name, kind === 'integer' ? Number(given) : kind === 'boolean' ? booleanOf(given) : given] as const]
    }),
  )
}

/** Other values pass through, for `readOptions` to refuse by name. */
function booleanOf(given: unknown): unknown {
  return given === 'true' ? true : given === 'false' ? false : given
}
