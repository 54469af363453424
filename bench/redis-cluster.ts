/**
 * A Redis Cluster of three masters and a replica each, of which one master is stopped: when commands work again, by Weir's own way over
 * connections of node-redis, and by node-redis's client for clusters.
 *
 *   node bench/redis-cluster.ts
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { createCluster } from 'redis'
import { connectRedis } from '../packages/gateway/src/backend/redis/connection.ts'
import { slotOf } from '../packages/gateway/src/backend/redis/slot.ts'
import { redisAddress } from '../packages/gateway/src/backend/redis/url.ts'
import { systemClock } from '../packages/gateway/src/clock.ts'
import { type RedisCluster, redisCluster } from '../packages/gateway/test/redis-cluster.ts'

const DEADLINE = 250
const PATIENCE = 10_000

interface Client {
  set(key: string): Promise<unknown>
  close(): unknown
}

const CLIENTS: Readonly<Record<string, (cluster: RedisCluster) => Client>> = {
  weir({ url }) {
    const address = redisAddress(url)
    if (address === undefined) throw new Error(`expected an address, got ${url}`)
    const connection = connectRedis({
      address,
      ca: undefined,
      clock: systemClock,
      deadline: DEADLINE,
      report: () => {},
    })
    return { set: (key) => connection.command(key, ['SET', key, '1']), close: () => connection.close() }
  },
  'node-redis'({ masters }) {
    const cluster = createCluster({
      rootNodes: masters.map(({ url }) => ({ url })),
      // The soonest that it can be told to look for what has changed.
      topologyRefreshOnReconnectionAttemptStrategy: 200,
      commandOptions: { timeout: DEADLINE },
      defaults: {
        disableOfflineQueue: true,
        pingInterval: 1000,
        socket: { connectTimeout: 1000, socketTimeout: 3000 },
      },
    })
    cluster.on('error', () => {})
    cluster.connect().catch(() => {})
    return { set: (key) => cluster.set(key, '1'), close: () => cluster.destroy() }
  },
}

/** A key at each of three masters. */
const keys = [0, 1, 2].map((master) => {
  for (let index = 0; ; index++) if (Math.floor((slotOf(`${index}`) * 3) / 16_384) === master) return `${index}`
})

/** How long until a command for the key works, and how long the longest took, in milliseconds. */
async function works(client: Client, key: string): Promise<string> {
  const began = performance.now()
  let longest = 0
  while (performance.now() - began < PATIENCE) {
    const asked = performance.now()
    const done = await Promise.race([
      client.set(key).then(
        () => true,
        () => false,
      ),
      sleep(PATIENCE, false),
    ])
    longest = Math.max(longest, performance.now() - asked)
    if (done)
      return `works after ${Math.round(performance.now() - began)} ms, longest command ${Math.round(longest)} ms`
    await sleep(20)
  }
  return `nothing in ${PATIENCE} ms`
}

for (const [name, connect] of Object.entries(CLIENTS)) {
  await using cluster = await redisCluster({ replicas: true })
  const [, second = ''] = keys
  const [first = ''] = keys
  const client = connect(cluster)
  for (const key of keys) await works(client, key)
  cluster.masters[0]?.freeze()
  process.stdout.write(`${name}: a master stops, a key of another: ${await works(client, second)}\n`)
  process.stdout.write(
    `${name}: a master stops, a key of its own until its replica has it: ${await works(client, first)}\n`,
  )
  await client.close()
  cluster.masters[0]?.thaw()
}

for (const [name, connect] of Object.entries(CLIENTS)) {
  await using cluster = await redisCluster()
  const [, second = ''] = keys
  cluster.masters[0]?.freeze()
  const client = connect(cluster)
  process.stdout.write(`${name}: begins while a master is stopped, a key of another: ${await works(client, second)}\n`)
  await client.close()
  cluster.masters[0]?.thaw()
}
