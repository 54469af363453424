import type { Clock } from '../../clock.ts'
import type { Backend } from '../ports.ts'
import { memoryBus } from './bus.ts'
import { memoryLeases } from './leases.ts'
import { memoryLogs } from './logs.ts'
import { memoryMeters } from './meters.ts'
import { memoryValues } from './values.ts'

/** All five ports in this process's memory: the backend of one process. */
export function memoryBackend(clock: Clock, bytes: number): Backend {
  const bus = memoryBus()
  const leases = memoryLeases(clock)
  return {
    bus,
    leases,
    values: memoryValues(clock, bus, leases, bytes),
    meters: memoryMeters(clock),
    logs: memoryLogs(clock, bytes),
    close: async () => {},
  }
}
