import { readFileSync } from 'node:fs'
import { Market } from '../packages/simulators/src/jupiter/market.ts'
import { type Running, run, weir } from '../scripts/running.ts'

const KEY = 'jup_bench'

/** The tokens that crowds watch. */
export const MINTS = [
  'So11111111111111111111111111111111111111112',
  'JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN',
  'DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263',
  'EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm',
]

/** The stream of these, one connection for all of them. */
export const STREAM = `/api/stream?mints=${MINTS.join()}`

/** What the simulator counts; `mostIn1s` is the largest number of arrivals in any sliding second. */
export interface Stats {
  readonly asked: number
  readonly served: number
  readonly refused: number
  readonly faulted: number
  readonly mostIn1s: number
}

/** The strict simulator (50 calls in any second), in a process of its own. */
export class Upstream implements AsyncDisposable {
  readonly #running: Running
  readonly url: string

  private constructor(running: Running, url: string) {
    this.#running = running
    this.url = url
  }

  static async start(...args: readonly string[]): Promise<Upstream> {
    const simulator = ['packages/simulators/src/main.ts', 'jupiter', '--strict', '--key', `${KEY}=weir`, ...args]
    const running = run(simulator)
    return new Upstream(running, (await running.says(/"url":"([^"]+)"/))[1] ?? '')
  }

  async stats(): Promise<Stats> {
    return (await fetch(`${this.url}/__stats`)).json()
  }

  /** From now on every call finds its connection cut. */
  async die(): Promise<void> {
    await fetch(`${this.url}/__faults`, { method: 'POST', body: '{"kind":"dead"}' })
  }

  async live(): Promise<void> {
    await fetch(`${this.url}/__faults`, { method: 'DELETE' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running[Symbol.asyncDispose]()
  }
}

/** An app, served by the `weir` command in a process of its own. */
export class Site implements AsyncDisposable {
  readonly #running: Running
  readonly url: string
  readonly port: number

  private constructor(running: Running, url: string) {
    this.#running = running
    this.url = url
    this.port = Number(new URL(url).port)
  }

  /** The prices app, on a free port, unless the arguments name one. */
  static start(upstream: Upstream, ...args: readonly string[]): Promise<Site> {
    return Site.of('prices', upstream, {}, args)
  }

  /** The app of this name, which asks that upstream for prices. */
  static async of(
    app: string,
    upstream: Upstream,
    environment: Readonly<Record<string, string>>,
    args: readonly string[] = [],
  ): Promise<Site> {
    const told = { JUPITER_URL: upstream.url, JUPITER_API_KEYS: KEY, ...environment }
    const running = weir(['start', `apps/${app}`, '--port', '0', ...args], told)
    return new Site(running, (await running.says(new RegExp(`^${app} +(\\S+)$`, 'm')))[1] ?? '')
  }

  /** Resident memory, in bytes. */
  get memory(): number {
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#running.pid}/status`, 'utf8')) ?? []
    return Number(kilobytes) * 1024
  }

  async health(): Promise<Readonly<Record<string, unknown>>> {
    return (await fetch(`${this.url}/api/health`)).json()
  }

  /** The sum of a metric over its labels, of those that have this text among them. */
  async metric(name: string, label = ''): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text()
    const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(label))
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  /** Seconds of processor time that it has used, in all of its threads. */
  get cpu(): number {
    const fields = readFileSync(`/proc/${this.#running.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  /** It dies in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.#running[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}

/** The machine, and the head of a table in Markdown; numbers stand to the right. */
export function head(...columns: readonly string[]): void {
  process.stdout.write(`Node ${process.versions.node}, ${process.platform} ${process.arch}\n\n`)
  row(...columns)
  row(...columns.map((_, index) => (index === 0 ? '---' : '--:')))
}

export function row(...cells: readonly (string | number)[]): void {
  process.stdout.write(`| ${cells.map((cell) => cell.toLocaleString('en')).join(' | ')} |\n`)
}

/** So many mints that have a price, and how many tokens a simulator must have for it: one in 13 has none. */
export function marketOf(priced: number): { readonly tokens: string; readonly mints: readonly string[] } {
  const tokens = Math.ceil(priced * 1.1)
  const listed = new Market(1, tokens).tokens.filter(({ price }) => price !== undefined)
  return { tokens: String(tokens), mints: listed.slice(0, priced).map(({ mint }) => mint) }
}

/** Addresses that together ask for all of these prices, 250 each: an address has to stay short. */
export function valuesPaths(mints: readonly string[]): readonly string[] {
  return Array.from({ length: Math.ceil(mints.length / 250) }, (_, index) => {
    const some = mints.slice(index * 250, (index + 1) * 250)
    return `/weir/values?${some.map((mint) => `topic=/prices/${mint}`).join('&')}`
  })
}

/** The value below which this share of them lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
