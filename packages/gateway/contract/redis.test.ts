import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, beforeAll } from 'vitest'
import type { Bus } from '../src/backend/ports.ts'
import { redisBackendParts } from '../src/backend/redis/backend.ts'
import { redisKeys } from '../src/backend/redis/keys.ts'
import { storedIn } from '../src/backend/redis/stored.ts'
import { type RedisServer, redisServer } from '../test/redis-server.ts'
import { leasesContract } from './leases.ts'
import { metersContract } from './meters.ts'
import type { Open } from './opened.ts'
import { valuesContract } from './values.ts'

let server: RedisServer

beforeAll(async () => {
  server = await redisServer()
})

afterAll(() => server[Symbol.asyncDispose]())

/** The topic of the contract of values: the listener is there before the test begins. */
const HEARD = '/prices/SOL'

const open: Open = async () => {
  const prefix = randomUUID()
  // The deadline is not what is tested here, and the machine may be busy.
  const parts = redisBackendParts({ url: server.url, prefix, node: 'node', deadline: 5000, report: () => {} })
  const listener = createClient({ url: server.url, RESP: 2 })
  listener.on('error', () => {})
  await listener.connect()
  const heard = new Set<Parameters<Bus['subscribe']>[1]>()
  await listener.sSubscribe(
    redisKeys(prefix).channel(HEARD),
    (message) => {
      const stored = storedIn(message)
      if (stored !== undefined) for (const hear of heard) hear(stored)
    },
    true,
  )
  const unused = () => Promise.reject(new Error('not part of this backend yet'))
  return {
    backend: {
      ...parts,
      bus: {
        publish: () => {},
        subscribe: (_, hear) => {
          heard.add(hear)
          return () => heard.delete(hear)
        },
      },
      logs: { append: unused, read: unused, subscribe: () => () => {} },
      async close() {
        listener.destroy()
        await parts.close()
      },
    },
    late: 300,
    advance: async (milliseconds) => {
      await sleep(milliseconds + 1)
    },
  }
}

valuesContract('redis', open)
leasesContract('redis', open)
metersContract('redis', open)
