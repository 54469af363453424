import type { Clock } from '../../clock.ts'
import type { Backend, Leases } from '../ports.ts'
import { memoryBus } from './bus.ts'
import { memoryLeases, type Owners } from './leases.ts'
import { memoryLogs } from './logs.ts'
import { memoryMeters } from './meters.ts'
import { memoryValues } from './values.ts'

export interface MemoryBackend extends Backend {
  readonly leases: Leases & Owners
}

/** All five ports in this process's memory: the backend of one process. */
export function memoryBackend(clock: Clock, bytes: number): MemoryBackend {
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
