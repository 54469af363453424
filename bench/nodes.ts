import { randomUUID } from 'node:crypto'
import { createClient } from 'redis'
import { Crowd, type CrowdReport } from '../packages/gateway/test/crowd.ts'
import { type RedisServer, redisServer } from '../scripts/redis-server.ts'
import { MINTS, Site, STREAM, Upstream } from './prices.ts'

/** Gateways that share one real Redis, each a process of its own, before one strict simulator. */
export class Nodes implements AsyncDisposable {
  readonly upstream: Upstream
  readonly redis: RedisServer
  readonly sites: Site[] = []
  readonly #url: string
  readonly #prefix = randomUUID()

  private constructor(upstream: Upstream, redis: RedisServer, url: string) {
    this.upstream = upstream
    this.redis = redis
    this.#url = url
  }

  /** `road`: from Redis's address to the one that the nodes are given. */
  static async start(count: number, road = async (url: string) => url): Promise<Nodes> {
    const redis = await redisServer()
    const nodes = new Nodes(await Upstream.start(), redis, await road(redis.url))
    for (let index = 0; index < count; index++) nodes.sites.push(await nodes.#site())
    return nodes
  }

  #site(...args: readonly string[]): Promise<Site> {
    return Site.start(this.upstream, '--redis', this.#url, '--prefix', this.#prefix, ...args)
  }

  get ports(): readonly number[] {
    return this.sites.map(({ port }) => port)
  }

  /** It dies as it stands, and one comes in its place after so many milliseconds, on the same port. */
  async replace(index: number, after: number): Promise<void> {
    const site = this.sites[index]
    if (site === undefined) throw new Error(`expected a node from 0 to ${this.sites.length - 1}, got ${index}`)
    await site.kill()
    await new Promise((resolve) => setTimeout(resolve, after))
    this.sites[index] = await this.#site('--port', String(site.port))
  }

  /** Says something to Redis. */
  async tell(...command: readonly string[]): Promise<string> {
    const client = createClient({ url: this.redis.url })
    client.on('error', () => {})
    await client.connect()
    try {
      return String(await client.sendCommand([...command]))
    } finally {
      client.destroy()
    }
  }

  /** Commands that Redis was sent so far. */
  async commands(): Promise<number> {
    return Number(/^total_commands_processed:(\d+)/m.exec(await this.tell('INFO', 'stats'))?.[1])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sites.map((site) => site.kill()))
    await this.redis[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
  }
}

/** Clients of all nodes, as many of each. */
export class Crowds implements AsyncDisposable {
  readonly #all: readonly Crowd[]

  private constructor(all: readonly Crowd[]) {
    this.#all = all
  }

  /** Two processes of clients for each four nodes; whoever loses its node goes to any. */
  static async join(nodes: Nodes, count: number): Promise<Crowds> {
    const crowds = new Crowds([new Crowd(), new Crowd()])
    const { ports } = nodes
    for (const [index, port] of ports.entries()) {
      const others = ports.filter((other) => other !== port)
      const each = { kind: 'join', port, others, path: STREAM, perSecond: 1000, returning: true } as const
      const share = Math.floor((count * (index + 1)) / ports.length) - Math.floor((count * index) / ports.length)
      const parts = [Math.ceil(share / 2), Math.floor(share / 2)]
      await Promise.all(crowds.#all.map((crowd, half) => crowd.tell({ ...each, count: parts[half] ?? 0 })))
    }
    return crowds
  }

  report(): Promise<readonly CrowdReport[]> {
    return Promise.all(this.#all.map((crowd) => crowd.tell({ kind: 'report' })))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((crowd) => crowd.kill()))
  }
}

/** How many different versions clients have of the topic of which they have most. */
export function versionsOf(reports: readonly CrowdReport[]): number {
  return Math.max(
    ...MINTS.map((mint) => new Set(reports.flatMap(({ heard }) => Object.keys(heard[`/prices/${mint}`] ?? {}))).size),
  )
}

export function total(reports: readonly CrowdReport[], of: (report: CrowdReport) => number): number {
  return reports.reduce((sum, report) => sum + of(report), 0)
}
