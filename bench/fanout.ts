/**
 * What it costs to tell everybody: CPU of the server for each message that one subscriber gets, beside that of a C program
 * that does nothing but send(). Linux only; needs a C compiler.
 *
 * `node bench/fanout.ts [--subscribers 10000] [--seconds 30] [--rounds 3] [--bytes 230] [--every 1000] [--only Weir,ws]
 *  [--sleepers 1000]`
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Contender, type Entrant, entrants, readStat } from './fanout/contenders.ts'
import { type Counted, Drain } from './fanout/drains.ts'

const { values: options } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
    bytes: { type: 'string', default: '230' },
    every: { type: 'string', default: '1000' },
    only: { type: 'string' },
    sleepers: { type: 'string', default: '0' },
  },
})
const subscribers = Number(options.subscribers)
const sleepers = Number(options.sleepers)
const load = { bytes: Number(options.bytes), every: Number(options.every) }
const seconds = Number(options.seconds)
const rounds = Number(options.rounds)

/** How many processes the subscribers are in: each may have 20,000 files open. */
const DRAINS = 2
const IDLE_SECONDS = 3
const SETTLE_SECONDS = 2

/** A sleeper's receive buffer, in bytes: small, so that it is behind soon. */
const SLEEPER_RECEIVES = 4096

interface Round {
  /** Microseconds of CPU for each message that a subscriber got, without what the server uses when nobody is there. */
  readonly cpu: number
  /** What of it was used outside of the kernel. */
  readonly user: number
  /** Bytes of resident memory for each subscriber. */
  readonly resident: number
  /** Of delivery, in milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly slowest: number
}

const COLUMNS: readonly (readonly [name: string, of: (round: Round) => number, digits: number])[] = [
  ['CPU a delivery, µs', ({ cpu }) => cpu, 2],
  ['outside the kernel, µs', ({ user }) => user, 2],
  ['resident a subscriber, KB', ({ resident }) => resident / 1024, 1],
  ['p50, ms', ({ p50 }) => p50, 1],
  ['p99, ms', ({ p99 }) => p99, 1],
  ['slowest, ms', ({ slowest }) => slowest, 1],
]

const compiled = compile()
if (compiled === undefined)
  process.stdout.write('Not measured: this benchmark needs a C compiler named cc, and there is none.\n')
else await compare(compiled)

interface Programs {
  readonly floor: string
  readonly drain: string
}

function compile(): Programs | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'weir-fanout-'))
  function make(name: string): string | undefined {
    const [source, made] = [join(import.meta.dirname, 'fanout', `${name}.c`), join(folder, name)]
    const { error, status } = spawnSync('cc', ['-O2', '-o', made, source], { stdio: 'inherit' })
    if (error === undefined && status !== 0) throw new Error(`${source} could not be compiled`)
    return error === undefined ? made : undefined
  }
  const [floor, drain] = [make('floor'), make('drain')]
  return floor === undefined || drain === undefined ? undefined : { floor, drain }
}

async function compare({ floor, drain }: Programs): Promise<void> {
  const chosen = options.only?.split(',')
  const field = entrants(floor).filter(({ name }) => chosen?.includes(name) ?? true)
  const results = new Map(field.map((entrant): [Entrant, Round[]] => [entrant, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const [entrant, its] of results) {
      const measured = await measure(entrant, drain)
      its.push(measured)
      process.stderr.write(
        `round ${round}, ${entrant.name}: ${measured.cpu.toFixed(2)} µs, ${measured.user.toFixed(2)} outside the kernel\n`,
      )
    }
  }
  const { bytes, every } = load
  process.stdout.write(
    `Node ${process.versions.node}, ${process.platform} ${process.arch}: ${subscribers.toLocaleString('en')} subscribers${sleepers > 0 ? `, ${sleepers.toLocaleString('en')} more asleep` : ''}, ${bytes} bytes every ${every} ms, medians of ${rounds} rounds of ${seconds} s\n\n`,
  )
  process.stdout.write(`| | of the floor | ${COLUMNS.map(([name]) => name).join(' | ')} |\n`)
  process.stdout.write(`| :-- | --: | ${COLUMNS.map(() => '--:').join(' | ')} |\n`)
  const least = results.entries().next().value
  for (const [{ name }, its] of results) {
    // Against the floor of the same round: a noisy quarter of an hour is noisy for both.
    const ratio = median(its.map(({ cpu }, round) => cpu / (least?.[1][round]?.cpu ?? Number.NaN)))
    const cells = COLUMNS.map(([, of, digits]) => median(its.map(of)).toFixed(digits))
    process.stdout.write(`| ${name} | ${ratio.toFixed(2)} | ${cells.join(' | ')} |\n`)
  }
}

async function measure({ name, start }: Entrant, program: string): Promise<Round> {
  await using server = await start(load)
  await pause(1000)
  const pids = server.pids()
  const [idleFrom, idleSince] = [usedBy(pids), performance.now()]
  await pause(IDLE_SECONDS * 1000)
  const idle = since(idleFrom, usedBy(pids)).map((used) => used / (performance.now() - idleSince))
  const before = residentOf(pids)

  await using stack = new AsyncDisposableStack()
  const join = (count: number, receive = 0) => stack.use(new Drain(program, server, count, load.every, receive))
  const drains = Array.from({ length: DRAINS }, () => join(subscribers / DRAINS))
  const joined = await Promise.all(drains.map((drain) => drain.joined()))
  const all = joined.reduce((sum, count) => sum + count)
  if (all !== subscribers) throw new Error(`${name}: expected ${subscribers} subscribers, got ${all}`)
  await pause(SETTLE_SECONDS * 1000)
  const sleeping = sleepers > 0 ? join(sleepers, SLEEPER_RECEIVES) : undefined
  await sleeping?.joined()
  await sleeping?.tell('sleep')

  await Promise.all(drains.map((drain) => drain.tell('clear')))
  const [from, begun] = [usedBy(pids), performance.now()]
  await pause(seconds * 1000)
  const counted = await Promise.all(drains.map((drain) => drain.report()))
  const used = since(from, usedBy(pids)).map((used, i) => used - (idle[i] ?? 0) * (performance.now() - begun))
  const resident = (residentOf(pids) - before) / (subscribers + sleepers)
  check(name, counted)
  if (sleeping !== undefined) await wake(name, server, sleeping, drains)
  const received = counted.reduce((sum, { received }) => sum + received, 0)
  const [cpu = Number.NaN, user = Number.NaN] = used.map((seconds) => (seconds * 1e6) / received)
  return { cpu, user, resident, ...latency(counted) }
}

/** Each subscriber got every message, and each message once. */
function check(name: string, counted: readonly Counted[]): void {
  for (const { received, distinct, backwards, lost } of counted) {
    const expected = (distinct * subscribers) / DRAINS
    if (received === expected && backwards === 0 && lost === 0 && distinct > 0) continue
    const what = `got ${received}, ${backwards} of them old, and ${lost} connections ended`
    throw new Error(`${name}: expected ${expected} deliveries of ${distinct} messages, ${what}`)
  }
}

/** Whoever slept has the latest within a few messages, and did not get all that it missed. */
async function wake(name: string, server: Contender, sleeping: Drain, drains: readonly Drain[]): Promise<void> {
  const missed = Number((await drains[0]?.report())?.distinct ?? 0)
  const resident = residentOf(server.pids())
  await sleeping.tell('wake')
  await pause(2000 + 2 * load.every)
  const { received, oldest, backwards, lost } = await sleeping.report()
  const newest = (await drains[0]?.report())?.newest ?? '0'
  const behind = (Number(BigInt(newest) - BigInt(oldest)) / 1e6).toFixed(0)
  process.stdout.write(
    `${name}: of ${missed} messages each sleeper got ${(received / sleepers).toFixed(1)} when it woke; the last is ${behind} ms behind the newest; ${backwards} old, ${lost} connections ended; the server had ${(resident / 1024 ** 2).toFixed(0)} MB.\n`,
  )
}

function latency(counted: readonly Counted[]): Pick<Round, 'p50' | 'p99' | 'slowest'> {
  const tenths = counted.flatMap(({ histogram }) => histogram).sort(([a], [b]) => a - b)
  const all = tenths.reduce((sum, [, count]) => sum + count, 0)
  function quantile(share: number): number {
    let seen = 0
    for (const [tenth, count] of tenths) {
      seen += count
      if (seen >= share * all) return (tenth + 1) / 10
    }
    return Number.NaN
  }
  const slowest = Math.max(...counted.map(({ largest }) => largest)) / 1e6
  return { p50: quantile(0.5), p99: quantile(0.99), slowest }
}

/** Seconds of CPU, all threads: in all, and outside of the kernel. */
function usedBy(pids: readonly number[]): readonly number[] {
  const stats = pids.map(readStat)
  return [
    stats.reduce((sum, stat) => sum + (stat?.cpu ?? 0), 0),
    stats.reduce((sum, stat) => sum + (stat?.user ?? 0), 0),
  ]
}

function since(before: readonly number[], after: readonly number[]): readonly number[] {
  return after.map((used, i) => used - (before[i] ?? 0))
}

function residentOf(pids: readonly number[]): number {
  const one = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  return pids.reduce((sum, pid) => sum + one(pid), 0)
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
