import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import { clusterBackend } from '../src/backend/cluster/backend.ts'
import { serving } from '../src/backend/cluster/primary.ts'
import { ManualClock } from '../test/manual-clock.ts'
import { portCarriers } from '../test/port-carrier.ts'
import { Primary } from '../test/primary.ts'
import { busContract } from './bus.ts'
import { leasesContract } from './leases.ts'
import { logsContract } from './logs.ts'
import { metersContract } from './meters.ts'
import { metersInTraffic } from './meters-in-traffic.ts'
import type { Open } from './opened.ts'
import { valuesContract } from './values.ts'

let primary: Primary

beforeAll(() => {
  primary = new Primary()
})

afterAll(() => primary[Symbol.asyncDispose]())

const report = (error: unknown) => {
  throw error
}

const process: Open = async () => ({
  // The deadline is not what is tested here, and the machine may be busy.
  backend: clusterBackend({ carrier: primary.open(), deadline: 5000, report }),
  late: 300,
  advance: async (milliseconds) => {
    await sleep(milliseconds + 1)
  },
})

/** In one process, with time that can be moved on both sides. */
const inside: Open = async () => {
  const clock = new ManualClock()
  const carriers = portCarriers()
  const [ours, theirs] = carriers
  serving({ bytes: 10_000_000, clock, report }).serve(theirs)
  const backend = clusterBackend({ carrier: ours, clock, report })
  return {
    backend: { ...backend, close: async () => carriers[Symbol.dispose]() },
    late: 0,
    async advance(milliseconds) {
      // What was said before has arrived when an answer has.
      await backend.values.read('nothing')
      await clock.advance(milliseconds)
      await backend.values.read('nothing')
    },
  }
}

valuesContract('cluster', process)
leasesContract('cluster', process)
metersContract('cluster', process)
busContract('cluster', process)
logsContract('cluster', process)

leasesContract('cluster, inside one process', inside)
metersContract('cluster, inside one process', inside)
metersInTraffic('cluster, inside one process', inside)
