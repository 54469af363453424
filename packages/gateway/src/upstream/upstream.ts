import type { MeterLimit } from '../backend/ports.ts'
import type { Identity, Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { RateLimitReader } from '../rate-limit-signal.ts'

/** A service that many ask and that can bear few: declared once, shared by all feeds and apps that name it. */
export interface Upstream<Client = unknown> {
  readonly kind: 'upstream'
  readonly name: string
  readonly settings: UpstreamSettings
  readonly policy: UpstreamPolicy
  /** Others that may answer in its place, each with a budget of its own; the first is itself. */
  readonly providers: readonly Upstream<Client>[]
  /** What loaders get as `call`. */
  client(context: CallContext): Client
  /** Reads what its answers say of its limits; by default status and headers. */
  readonly rateLimits?: RateLimitReader
  /** Milliseconds that what it answered is old. */
  readonly lag?: (answer: UpstreamAnswer) => number
  /** Decorators between budget and pool, such as one that turns errors in answers of 200 into statuses. */
  readonly below?: (clock: Clock) => Stage<UpstreamRequest, Promise<UpstreamAnswer>>
  /** How it is followed, where it is another gateway. */
  readonly origin?: OriginPlan
  /** Puts the API key that the budget chose where the upstream wants it. */
  authorize(request: UpstreamRequest): UpstreamRequest
}

/** What the stages below need to know of an upstream. Times in milliseconds, sizes in bytes. */
export interface UpstreamSettings {
  readonly url: string
  /** Where keys go and what else every call has: those who share an upstream must agree on it. */
  readonly dress: string
  readonly keys: readonly string[]
  /** Whether it is asked with credentials of ours, so that 401 and 403 are of those. */
  readonly keyed: boolean
  /** What of that nobody may read, and of its address. */
  readonly secrets: readonly string[]
  readonly limits: readonly MeterLimit[]
  readonly pastUsage: 'unknown' | 'none'
  /** Starts are spread evenly over each window. */
  readonly pace: boolean
  /** The share of the limits, from 0 to 1, that watched values may take. */
  readonly liveShare: number
  /** Whether it is asked with `If-None-Match` where it gave an ETag. */
  readonly conditional: boolean
  readonly concurrency: number
  readonly timeout: number
  readonly connectTimeout: number
  readonly connectionAge: number
  readonly headersTimeout: number
  readonly bodyTimeout: number
  readonly stall: number
  readonly maxResponse: number
}

/** How an origin is followed. Times in milliseconds. */
export interface OriginPlan {
  /** Its WebSocket. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly silenceTimeout: number
  readonly maxTopics: number
}

/** How often and where a call is tried. */
export interface UpstreamPolicy {
  /** How often it may be tried again, beside going on to another provider. */
  readonly retries: number
  /** Milliseconds after which a second provider is asked beside the first; undefined: never. */
  readonly hedge: number | undefined
  /** Providers in the order they are named, or the one that did best of late. */
  readonly choose: 'order' | 'score'
  /** How far, in what they count, one may be behind the best of them and still be asked as any other. Undefined: they are not compared. */
  readonly maxLag?: number
}

/** One request as a client of an upstream describes it; urgency, deadline and abort come from those who wait. */
export type Outgoing = Pick<UpstreamRequest, 'method' | 'path' | 'headers' | 'body'> &
  Partial<Pick<UpstreamRequest, 'cost' | 'costOf' | 'lane' | 'repeatable' | 'key' | 'operation' | 'check' | 'passes'>>

/** On whose behalf a loader runs. */
export interface CallContext {
  send(request: Outgoing): Promise<UpstreamAnswer>
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal
  /** Whose value is loaded; empty for public ones. */
  readonly caller: Identity
  /** The wall clock, milliseconds since 1970. */
  now(): number
}
