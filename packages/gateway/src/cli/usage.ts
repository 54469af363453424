import type { Level } from '@weir/protocol'
import type { GatewayOptions } from '../gateway-api.ts'

/** A wrong command line. The message is shown to the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A parsed command line. */
export interface CommandLine {
  /** Folders or files, as given. */
  readonly apps: readonly string[]
  /** Port of the first site; 0 picks a free port for each site. */
  readonly port: number
  readonly host: string
  /** Level at start. */
  readonly level: Level
  readonly options: Partial<GatewayOptions>
  /** Number of worker processes; undefined to serve from this process. */
  readonly workers: number | undefined
  /** The most resident memory of a worker, in bytes; undefined for the default. */
  readonly workerMemory: number | undefined
}
