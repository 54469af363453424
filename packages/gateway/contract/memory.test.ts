import { memoryBackend } from '../src/backend/memory/backend.ts'
import { ManualClock } from '../test/manual-clock.ts'
import { busContract } from './bus.ts'
import { leasesContract } from './leases.ts'
import { logsContract } from './logs.ts'
import { metersContract } from './meters.ts'
import { metersInTraffic } from './meters-in-traffic.ts'
import type { Open } from './opened.ts'
import { valuesContract } from './values.ts'

const open: Open = async () => {
  const clock = new ManualClock()
  return { backend: memoryBackend(clock, 1_000_000), late: 0, advance: (milliseconds) => clock.advance(milliseconds) }
}

valuesContract('memory', open)
leasesContract('memory', open)
metersContract('memory', open)
metersInTraffic('memory', open)
busContract('memory', open)
logsContract('memory', open)
