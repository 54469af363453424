/**
 * `node packages/simulators/src/main.ts NAME [options]` runs one simulator, and prints its name and url as one line of
 * JSON when it listens. It ends on SIGTERM and SIGINT, and with whoever started it.
 */
import { fstatSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { PLAN_NAMES } from './jupiter/plans.ts'
import { startJupiter } from './jupiter/server.ts'
import type { SimulatorOptions } from './simulator.ts'

/** An option's values as they were typed; undefined when it was not given. */
type Typed = (name: string) => readonly string[] | undefined

interface Running {
  readonly url: string
  /** What the line on stdout says besides. */
  readonly says?: Readonly<Record<string, string>>
  close(): Promise<void>
}

interface Entry {
  /** The options beside those that every simulator has. */
  readonly options: ParseArgsOptionsConfig
  start(shared: SimulatorOptions, typed: Typed): Promise<Running>
}

/** What can be started. */
const SIMULATORS: Readonly<Record<string, Entry>> = {
  jupiter: {
    options: {
      plan: { type: 'string' },
      strict: { type: 'boolean' },
      key: { type: 'string', multiple: true },
      'too-many-ids': { type: 'string' },
      tokens: { type: 'string' },
    },
    start: (shared, typed) => {
      const tokens = number(typed, 'tokens', 1_000_000)
      return startJupiter({
        ...shared,
        plan: choice(typed, 'plan', PLAN_NAMES) ?? 'launch',
        strict: typed('strict') !== undefined,
        keys: Object.fromEntries((typed('key') ?? []).map(toKey)),
        tooManyIds: choice(typed, 'too-many-ids', ['refuse', 'truncate']) ?? 'refuse',
        ...(tokens !== undefined && { tokens }),
      })
    },
  },
  solana: {
    options: {
      provider: { type: 'string' },
      key: { type: 'string', multiple: true },
      calls: { type: 'string' },
      batches: { type: 'string' },
      'slot-time': { type: 'string' },
      lottery: { type: 'boolean' },
      pace: { type: 'string' },
      draw: { type: 'string' },
      entries: { type: 'string' },
    },
    start: async (shared, typed) => {
      const keys = typed('key')
      const calls = number(typed, 'calls')
      const slotTime = number(typed, 'slot-time')
      const options = {
        ...shared,
        provider: choice(typed, 'provider', ['public', 'helius']) ?? 'public',
        batches: choice(typed, 'batches', ['accept', 'refuse']) ?? 'accept',
        ...(keys !== undefined && { keys }),
        ...(calls !== undefined && { limits: { calls } }),
        ...(slotTime !== undefined && { slotTime }),
      } as const
      const lottery = readLottery(typed)
      // Its virtual machine takes a while to load, and is not there on every platform.
      const { openLottery, play, startSolana } = await import('./solana/index.ts')
      const solana = await startSolana(options)
      if (lottery === undefined) return solana
      const { entries, pace, draw } = lottery
      const { seed } = shared
      const opened = await openLottery(solana.chain, { entries, ...(seed !== undefined && { seed }) })
      const playing = pace === 0 ? undefined : play(opened, { every: pace, draw })
      const { mint, pot, authority, ticketPrice } = opened
      return {
        url: solana.url,
        says: { mint, pot, authority: authority.address, ticketPrice: String(ticketPrice) },
        close: () => {
          playing?.stop()
          return solana.close()
        },
      }
    },
  },
}

const SHARED: ParseArgsOptionsConfig = {
  port: { type: 'string' },
  host: { type: 'string' },
  seed: { type: 'string' },
  latency: { type: 'string' },
  jitter: { type: 'string' },
  travel: { type: 'string' },
  stall: { type: 'string', multiple: true },
}

/** The command was typed wrong: the message is the one sentence that is shown. */
class UsageError extends Error {}

try {
  const [name, simulator] = await start(process.argv.slice(2))
  endWithParent(() => simulator.close().then(() => process.exit(0)))
  process.stdout.write(`${JSON.stringify({ name, url: simulator.url, ...simulator.says })}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}

async function start([name = '', ...rest]: readonly string[]): Promise<[string, Running]> {
  const entry = Object.hasOwn(SIMULATORS, name) ? SIMULATORS[name] : undefined
  if (entry === undefined) {
    throw new UsageError(`Expected the name of a simulator (${Object.keys(SIMULATORS).join(', ')}), got "${name}".`)
  }
  const typed = read(rest, { ...SHARED, ...entry.options })
  const port = number(typed, 'port', 65_535)
  const host = typed('host')?.[0]
  const seed = number(typed, 'seed', 2 ** 31)
  const latency = number(typed, 'latency')
  const jitter = number(typed, 'jitter')
  const [travel] = pairs(typed, 'travel')
  const stalls = pairs(typed, 'stall').map(([every, duration]) => ({ every, for: duration }))
  const running = await entry.start(
    {
      ...(port !== undefined && { port }),
      ...(host !== undefined && { host }),
      ...(seed !== undefined && { seed }),
      ...(latency !== undefined && { latency }),
      ...(jitter !== undefined && { jitter }),
      ...(travel !== undefined && { travel: { mean: travel[0], spread: travel[1] } }),
      stalls,
    },
    typed,
  )
  return [name, running]
}

function read(args: readonly string[], options: ParseArgsOptionsConfig): Typed {
  try {
    const { values } = parseArgs({ args: [...args], options })
    return (name) => {
      const value = values[name]
      if (value === undefined) return undefined
      return (Array.isArray(value) ? value : [value]).map(String)
    }
  } catch (error) {
    const said = error instanceof Error ? error.message.split('. ')[0] : String(error)
    const names = Object.keys(options).map((option) => `--${option}`)
    throw new UsageError(`${said}; the options are ${names.join(', ')}.`)
  }
}

/** What `--lottery` is to be like; undefined without it. */
function readLottery(typed: Typed) {
  const entries = number(typed, 'entries', 100_000)
  const pace = number(typed, 'pace')
  const draw = number(typed, 'draw')
  if (typed('lottery') !== undefined) return { entries: entries ?? 0, pace: pace ?? 500, draw: draw ?? 30_000 }
  const alone = Object.entries({ entries, pace, draw }).find(([, value]) => value !== undefined)
  if (alone !== undefined) throw new UsageError(`--${alone[0]}: expected --lottery with it.`)
  return undefined
}

/** A whole number from 0. */
function number(typed: Typed, name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = typed(name)?.[0]
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= most) return value
  throw new UsageError(`--${name}: expected a whole number from 0 to ${most}, got "${text}".`)
}

/** Two numbers of milliseconds with a comma between, as often as they were typed. */
function pairs(typed: Typed, name: string): readonly (readonly [number, number])[] {
  return (typed(name) ?? []).map((text) => {
    const match = /^(\d+),(\d+)$/.exec(text)
    if (match !== null) return [Number(match[1]), Number(match[2])]
    throw new UsageError(`--${name}: expected milliseconds as two whole numbers such as 25,15, got "${text}".`)
  })
}

function choice<Name extends string>(typed: Typed, name: string, names: readonly Name[]): Name | undefined {
  const text = typed(name)?.[0]
  if (text === undefined) return undefined
  const chosen = names.find((known) => known === text)
  if (chosen !== undefined) return chosen
  throw new UsageError(`--${name}: expected one of ${names.join(', ')}, got "${text}".`)
}

/** `KEY=ORGANISATION`, or a key of the organisation `default`. */
function toKey(text: string): readonly [string, string] {
  const [key = '', organisation = 'default'] = text.split('=')
  return [key, organisation]
}

/** A simulator must not outlive the test or script that started it, however that one ends. */
function endWithParent(end: () => void): void {
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
  if (process.connected) {
    // Forked: stdin is the parent's own, and not for us to read.
    process.once('disconnect', end)
    return
  }
  // A pipe ends with its writer. A terminal, a file or /dev/null says nothing of who started us.
  const stdin = fstatSync(0)
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.once('end', end).once('error', end).resume()
}
