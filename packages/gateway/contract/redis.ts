import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import { redisBackend } from '../src/backend/redis/backend.ts'
import { busContract } from './bus.ts'
import { leasesContract } from './leases.ts'
import { logsContract } from './logs.ts'
import { metersContract } from './meters.ts'
import type { Open } from './opened.ts'
import { valuesContract } from './values.ts'

interface Started extends AsyncDisposable {
  readonly url: string
}

/** All five ports, on a Redis that is started for them. */
export function redisContract(name: string, start: () => Promise<Started>): void {
  let redis: Started | undefined

  beforeAll(async () => {
    redis = await start()
  }, 30_000)

  afterAll(() => redis?.[Symbol.asyncDispose]())

  const open: Open = async () => {
    const given = { url: redis?.url ?? '', prefix: randomUUID(), node: 'node', report: () => {} }
    // How soon answers come is not what is tested here, and the machine may be busy.
    const backend = redisBackend({ ...given, deadline: 5000, slack: 600 })
    // Every server is connected to: a grant that is told after that time is not used.
    await Promise.all(Array.from({ length: 30 }, (_, index) => backend.values.read(`${index}`)))
    return {
      backend,
      late: 300,
      advance: async (milliseconds) => {
        await sleep(milliseconds + 1)
      },
    }
  }

  valuesContract(name, open)
  leasesContract(name, open)
  metersContract(name, open)
  busContract(name, open)
  logsContract(name, open)
}
