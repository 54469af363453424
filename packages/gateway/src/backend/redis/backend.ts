import { type Clock, systemClock } from '../../clock.ts'
import type { Backend } from '../ports.ts'
import { redisBus } from './bus.ts'
import { connectChannels } from './channels.ts'
import { connectRedis } from './connection.ts'
import { redisKeys } from './keys.ts'
import { redisLeases } from './leases.ts'
import { redisLogs } from './logs.ts'
import { redisMeters } from './meters.ts'
import { redisValues } from './values.ts'

export interface RedisOptions {
  /** `redis://host:port`, or `rediss://…`. */
  readonly url: string
  /** What all keys begin with; nodes that share have the same. */
  readonly prefix: string
  /** This node: a name that no other process has, nor had before. */
  readonly node: string
  readonly clock?: Clock
  /** Milliseconds in which every command is answered or has failed. 250 unless told. */
  readonly deadline?: number
  /** Told what goes wrong in the background. */
  readonly report: (error: unknown) => void
}

/** All five ports on Redis: the backend of many machines. */
export function redisBackend(options: RedisOptions): Backend {
  const { url, prefix, node, clock = systemClock, deadline = 250, report } = options
  const connection = connectRedis({ url, clock, deadline, report })
  const keys = redisKeys(prefix)
  const channels = connectChannels({ url, report })
  const values = redisValues(connection, keys)
  const meters = redisMeters({ connection, keys, node, clock, report })
  return {
    values,
    leases: redisLeases(connection, keys, clock),
    meters,
    bus: redisBus({ connection, channels, values, keys, report }),
    logs: redisLogs({ connection, channels, keys, report }),
    async close() {
      await meters.close()
      await channels.close()
      await connection.close()
    },
  }
}
