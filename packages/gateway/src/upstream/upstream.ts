import type { MeterLimit } from '../backend/ports.ts'
import type { UpstreamAnswer, UpstreamRequest } from '../call.ts'

/** A service that many ask and that can bear few: declared once, shared by all feeds and apps that name it. */
export interface Upstream<Client = unknown> {
  readonly kind: 'upstream'
  readonly name: string
  readonly settings: UpstreamSettings
  /** What loaders get as `call`. */
  client(context: CallContext): Client
  /** Puts the API key that the budget chose where the upstream wants it. */
  authorize(request: UpstreamRequest): UpstreamRequest
}

/** What the stages below need to know of an upstream. Times in milliseconds, sizes in bytes. */
export interface UpstreamSettings {
  readonly url: string
  readonly keys: readonly string[]
  readonly limits: readonly MeterLimit[]
  readonly past: 'unknown' | 'none'
  /** Starts are spread evenly over each window. */
  readonly pace: boolean
  readonly concurrency: number
  readonly timeout: number
  readonly maxAnswer: number
}

/** One request as a client of an upstream describes it; urgency, deadline and abort come from those who wait. */
export type Outgoing = Pick<UpstreamRequest, 'method' | 'path' | 'headers' | 'body'>

/** On whose behalf a loader runs. */
export interface CallContext {
  send(request: Outgoing): Promise<UpstreamAnswer>
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal
}
