import type { Snapshot } from './metrics.ts'
import type { Trouble } from './troubles.ts'

/** All workers of this machine, as seen by one of them. */
export interface Fleet {
  /** The id of this worker. */
  readonly id: number
  /** @throws WeirError `backend_unavailable` when the primary does not answer within a second */
  view(): Promise<FleetView>
}

/** The state of all workers, at most a second old. */
export interface FleetView {
  readonly workers: readonly WorkerHealth[]
  /** Counts of workers that have exited. */
  readonly departed: Snapshot
}

export interface WorkerHealth {
  readonly id: number
  readonly pid: number
  readonly state: 'starting' | 'serving' | 'leaving'
  /** Time since the start, in seconds. */
  readonly uptime: number
  /** Undefined until the first report. */
  readonly vitals: Vitals | undefined
}

/** What a worker reports about itself. */
export interface Vitals {
  readonly connections: number
  /** Resident memory, in bytes. */
  readonly rss: number
  readonly metrics: Snapshot
  readonly troubles: readonly Trouble[]
}
