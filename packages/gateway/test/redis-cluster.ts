import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { freePort } from '../../../scripts/free-port.ts'
import { type RedisServer, redisServer } from '../../../scripts/redis-server.ts'

/** A real Redis Cluster of a test's own: three masters on free ports, each with a replica where that is asked for. */
export interface RedisCluster extends AsyncDisposable {
  readonly masters: readonly RedisServer[]
  /** The replica of each master, in the same order. */
  readonly replicas: readonly RedisServer[]
  /** All masters' addresses in one. */
  readonly url: string
}

/** Asks one server. */
export async function order(server: RedisServer, ...command: string[]): Promise<string> {
  const client = createClient({ url: server.url, RESP: 2 })
  client.on('error', () => {})
  await client.connect()
  try {
    return String(await client.sendCommand(command))
  } finally {
    client.destroy()
  }
}

const MASTERS = 3
const SLOTS = 16_384

export async function redisCluster({ replicas = false } = {}): Promise<RedisCluster> {
  const servers = await Promise.all(Array.from({ length: replicas ? 2 * MASTERS : MASTERS }, clusterServer))
  const masters = servers.slice(0, MASTERS)
  const [first] = masters
  if (first === undefined) throw new Error('expected a master')
  const bounds = Array.from({ length: MASTERS + 1 }, (_, index) => Math.floor((index * SLOTS) / MASTERS))
  for (const [index, { server, bus }] of servers.entries()) {
    await order(server, 'CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
    if (index < MASTERS) {
      await order(server, 'CLUSTER', 'ADDSLOTSRANGE', String(bounds[index]), String((bounds[index + 1] ?? 0) - 1))
    }
    if (index > 0) await order(first.server, 'CLUSTER', 'MEET', '127.0.0.1', String(server.port), String(bus))
  }
  async function whole(of: readonly RedisServer[], what: RegExp, ...command: string[]): Promise<void> {
    const until = performance.now() + 20_000
    for (const one of of) {
      for (let said = ''; !what.test(said); said = await order(one, ...command)) {
        if (performance.now() > until) throw new Error(`expected ${what}, got: ${said}`)
        await sleep(said === '' ? 0 : 50)
      }
    }
  }
  const all = servers.map(({ server }) => server)
  await whole(all, new RegExp(`cluster_known_nodes:${servers.length}\\r`), 'CLUSTER', 'INFO')
  const followers = all.slice(MASTERS)
  for (const [index, replica] of followers.entries()) {
    const id = await order(masters[index]?.server ?? replica, 'CLUSTER', 'MYID')
    await order(replica, 'CLUSTER', 'REPLICATE', id)
  }
  await whole(all, /cluster_state:ok/, 'CLUSTER', 'INFO')
  await whole(followers, /master_link_status:up/, 'INFO', 'replication')
  return {
    masters: all.slice(0, MASTERS),
    replicas: followers,
    url: `redis://${masters.map(({ server: { port } }) => `127.0.0.1:${port}`).join(',')}`,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((server) => server[Symbol.asyncDispose]()))
    },
  }
}

async function clusterServer(): Promise<{ readonly server: RedisServer; readonly bus: number }> {
  const bus = await freePort()
  const server = await redisServer([
    ...['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '1000'],
    // What is left goes on while a master is away.
    ...['--cluster-require-full-coverage', 'no'],
    ...['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'],
  ])
  return { server, bus }
}
