import type { Level } from '@weir/protocol'
import type { FleetView, Vitals } from '../../observe/workers.ts'

/** Parameters of a worker, passed in `WEIR_WORKER`. */
export interface WorkerStart {
  readonly id: number
  /** Port of the first app, or one port per app. */
  readonly port: number | readonly number[]
  readonly level: Level
  /** Whether workers share the primary's memory. */
  readonly shares: boolean
}

/** Channels between a worker and the primary. */
export const ORDERS = 'orders'
export const MEMORY = 'memory'

/** Calls from a worker to its supervisor. */
export interface SupervisorSide {
  /** The worker listens on these addresses, one per app. */
  listening(sites: readonly Serving[]): void
  /** The worker cannot listen. `portTaken`: another program uses the port. The worker exits only after the reply. */
  failed(reason: string, portTaken: boolean): true
  vitals(vitals: Vitals): void
  fleet(): FleetView
  /** The worker has reached its connection limit. Returns whether it may stop accepting, because another worker accepts. */
  full(): boolean
  /** The worker has capacity again and accepts connections. */
  room(): void
}

export interface Serving {
  readonly app: string
  readonly url: string
}

/** Calls from the supervisor to a worker. */
export interface WorkerOrders {
  level(level: Level): void
  /** Exit within `within` milliseconds. `handover`: other workers keep serving. */
  leave(within: number, handover: boolean): void
  /** Accept connections even above the limit, because no other worker does. */
  open(): void
}
