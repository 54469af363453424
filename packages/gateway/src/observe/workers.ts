import type { Snapshot } from './metrics.ts'
import type { Trouble } from './troubles.ts'

/** All workers of this machine, as one of them sees them. */
export interface Fleet {
  /** This one's number. */
  readonly id: number
  /** @throws WeirError `backend_unavailable` when the primary does not answer within a second */
  look(): Promise<FleetView>
}

/** How it stands with all workers, as they said of themselves a second ago at most. */
export interface FleetView {
  readonly workers: readonly WorkerHealth[]
  /** What those counted that are no more. */
  readonly departed: Snapshot
}

export interface WorkerHealth {
  readonly id: number
  readonly pid: number
  readonly state: 'starting' | 'serving' | 'leaving'
  /** Seconds since it was started. */
  readonly uptime: number
  /** Undefined while it has said nothing yet. */
  readonly vitals: Vitals | undefined
}

/** What a worker says of itself. */
export interface Vitals {
  readonly connections: number
  /** Resident memory, bytes. */
  readonly rss: number
  readonly metrics: Snapshot
  readonly troubles: readonly Trouble[]
}
