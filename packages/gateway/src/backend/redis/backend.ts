import { type Clock, systemClock } from '../../clock.ts'
import type { Backend } from '../ports.ts'
import { redisBus } from './bus.ts'
import { connectRedis } from './connection.ts'
import { redisKeys } from './keys.ts'
import { redisLeases } from './leases.ts'
import { redisLogs } from './logs.ts'
import type { MeterParts } from './meter.ts'
import { redisMeters } from './meters.ts'
import { redisMoments } from './moments.ts'
import { connectChannels } from './pubsub.ts'
import { redisAddress } from './url.ts'
import { redisValues } from './values.ts'

export interface RedisOptions {
  /** `redis://user:password@host:port/db`, `rediss://…` for TLS; one server, or some of a cluster's with commas between them. */
  readonly url: string
  /** PEM text of the authorities that certificates may come from; by default those that Node knows. */
  readonly ca?: string | undefined
  /** The prefix of all keys. Nodes that share a backend have the same. */
  readonly prefix: string
  /** This node: a name that no other process has, nor had before. */
  readonly node: string
  readonly clock?: Clock
  /** Milliseconds in which every command is answered or has failed. 250 by default. */
  readonly deadline?: number
  /** A grant is used within this many milliseconds of its moment, or not at all. 100 by default; the same on all nodes. */
  readonly slack?: number
  /** Called with errors in the background. */
  readonly report: (error: unknown) => void
  /** Called when nodes begin to share an upstream with different limits, with the limits that hold then. */
  readonly mixed?: MeterParts['mixed']
}

/**
 * All five ports on Redis: the backend of many machines.
 *
 * @throws TypeError if the address is not valid
 */
export function redisBackend(options: RedisOptions): Backend {
  const { url, ca, prefix, node, clock = systemClock, deadline = 250, slack, report, mixed } = options
  const address = redisAddress(url)
  if (address === undefined) throw new TypeError('expected an address such as redis://127.0.0.1:6379')
  const connection = connectRedis({ address, ca, clock, deadline, report })
  const keys = redisKeys(prefix)
  const { shards } = connection
  const entryOf = (server: string) => ({ url: address.urlOf(server), ca })
  const channels = connectChannels({ shards, entryOf, clock, report })
  const moments = redisMoments(shards, clock)
  const values = redisValues({ connection, keys, moments, clock })
  const leases = redisLeases(connection, keys, clock)
  const meters = redisMeters({ connection, channels, keys, node, clock, slack, report, mixed })
  return {
    values,
    leases,
    meters,
    bus: redisBus({ connection, channels, values, keys, moments, report }),
    logs: redisLogs({ connection, channels, keys, report }),
    async close() {
      values.close()
      await Promise.all([leases.leave(), meters.close()])
      await channels.close()
      await connection.close()
    },
  }
}
