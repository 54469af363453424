import type { Version } from '@weir/protocol'
import { unpooledCopy } from '../../buffer.ts'
import type { MaybePromise } from '../../call.ts'
import type { Stored } from '../../entry.ts'
import type { Remaining } from '../../rate-limit-signal.ts'
import type { Grant, Grants, Lease, LogBounds, LogHistory, LogLine, MeterPlan, Publication, Want } from '../ports.ts'

/** What a worker requests of the primary, and sends to it. */
export interface PrimarySide {
  lineage(): string | undefined
  read(topic: string): MaybePromise<Stored | undefined>
  publish(topic: string, publication: Publication): Promise<Stored | undefined>
  expire(topic: string): Promise<void>

  acquire(name: string, owner: string, ttl: number, known: number): Promise<Lease>
  renew(name: string, owner: string, token: number, ttl: number): Promise<void>
  release(name: string, owner: string, token: number): Promise<void>
  claim(group: string, names: readonly string[], owner: string, ttl: number): MaybePromise<readonly boolean[]>

  append(log: string, event: Uint8Array, bounds: LogBounds): Promise<Version>
  appendAfter(log: string, after: Version, event: Uint8Array, bounds: LogBounds): Promise<Version | undefined>
  history(log: string, after: number, most: number): Promise<LogHistory>

  send(channel: string, message: Stored): void
  announce(channel: string, word: string): void
  /** The first news says that some may have been missed: those from before the worker listened. */
  listen(kind: Kind, name: string): void
  unlisten(kind: Kind, name: string): void

  open(upstream: string, plan: MeterPlan): void
  take(upstream: string, wants: readonly Want[]): TimedGrants
  settle(upstream: string, grant: number, cost: number): void
  cancel(upstream: string, grant: number): void
  pause(upstream: string, duration: number, key: number | undefined): void
  pauseLane(upstream: string, duration: number, lane: string): void
  backOff(upstream: string): void
  exhaustKey(upstream: string, key: number, duration: number | undefined): void
  syncRemaining(upstream: string, remaining: Remaining, key: number): void
}

/** What the primary sends to a worker. */
export interface WorkerSide {
  news(all: readonly News[]): void
}

/** What can be listened to, each with names of its own. */
export interface Heard {
  readonly values: Stored
  readonly words: string
  readonly lines: LogLine
}

export type Kind = keyof Heard

/** What came on one channel since the last time, in order. */
export interface News {
  readonly kind: Kind
  readonly name: string
  readonly messages: readonly Heard[Kind][]
  /** Some before these may have been missed. */
  readonly missed: boolean
}

/** Each process has its own monotonic clock, so moments are sent as durations from the answer. */
export interface TimedGrant extends Omit<Grant, 'notBefore' | 'expiresAt'> {
  readonly opensIn: number
  readonly closesIn: number
}

export interface TimedGrants extends Omit<Grants, 'granted'> {
  readonly granted: readonly TimedGrant[]
}

/**
 * Bytes that came over a channel are a view of everything that came with them. They are copied to be kept: otherwise a short value would
 * hold a long message in memory.
 */
export function kept(bytes: Uint8Array): Buffer {
  return unpooledCopy(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}

export function keptContent<Value extends Pick<Stored, 'json'>>(value: Value): Value {
  return value.json === undefined ? value : { ...value, json: kept(value.json) }
}
