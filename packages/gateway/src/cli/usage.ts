import type { Level } from '@weir/protocol'
import type { GatewayOptions } from '../gateway-api.ts'

/** The command was typed wrong; the message is what is shown. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A command line that was read. */
export interface CommandLine {
  /** Folders or files, as typed. */
  readonly apps: readonly string[]
  /** The first site's port; 0 gives each site a free one. */
  readonly port: number
  readonly host: string
  /** The level to begin with. */
  readonly level: Level
  readonly options: Partial<GatewayOptions>
  /** How many processes serve; undefined when this one serves alone. */
  readonly workers: number | undefined
  /** The most resident memory of a worker, in bytes; undefined when nothing was said. */
  readonly workerMemory: number | undefined
}
