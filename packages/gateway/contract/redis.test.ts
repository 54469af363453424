import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { type RedisServer, redisServer } from '../test/redis-server.ts'
import { busContract } from './bus.ts'
import { leasesContract } from './leases.ts'
import { logsContract } from './logs.ts'
import { metersContract } from './meters.ts'
import type { Open } from './opened.ts'
import { valuesContract } from './values.ts'

let server: RedisServer

beforeAll(async () => {
  server = await redisServer()
})

afterAll(() => server[Symbol.asyncDispose]())

const open: Open = async () => ({
  // The deadline is not what is tested here, and the machine may be busy.
  backend: redisBackend({ url: server.url, prefix: randomUUID(), node: 'node', deadline: 5000, report: () => {} }),
  late: 300,
  advance: async (milliseconds) => {
    await sleep(milliseconds + 1)
  },
})

valuesContract('redis', open)
leasesContract('redis', open)
metersContract('redis', open)
busContract('redis', open)
logsContract('redis', open)
