import type { Level } from '@weir/protocol'
import type { FleetView, Vitals } from '../../observe/workers.ts'

/** What a worker is given when it is started, in `WEIR_WORKER`. */
export interface WorkerStart {
  readonly id: number
  /** The first, or one for each app. */
  readonly port: number | readonly number[]
  readonly level: Level
  /** Whether the primary serves its memory. */
  readonly shares: boolean
}

/** Parts of the channel between a worker and its primary. */
export const ORDERS = 'orders'
export const MEMORY = 'memory'

/** What a worker tells the one that supervises it, and asks. */
export interface SupervisorSide {
  /** It serves at these addresses, one for each app. */
  listening(sites: readonly Serving[]): void
  /** It can't listen; why, in a sentence. `taken`: somebody else does. Answered, so that it ends only when that is heard. */
  failed(why: string, taken: boolean): true
  vitals(vitals: Vitals): void
  fleet(): FleetView
  /** It has as many connections as it takes. Whether another takes new ones, so that it may stop to. */
  full(): boolean
  /** It has room again, and takes new connections. */
  room(): void
}

export interface Serving {
  readonly app: string
  readonly url: string
}

/** What it is told. */
export interface WorkerOrders {
  level(level: Level): void
  /** End within so many milliseconds. `handover`: others go on. */
  leave(within: number, handover: boolean): void
  /** Take new connections, full or not: nobody else does. */
  open(): void
}
