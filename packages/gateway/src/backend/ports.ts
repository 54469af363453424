import type { Version } from '@weir/protocol'
import type { MaybePromise } from '../call.ts'
import type { Content, Stored } from '../entry.ts'
import type { Priority } from '../events.ts'
import type { Remaining } from '../rate-limit-signal.ts'

/** What nodes share. Five ports, and the same five files in each backend. */
export interface Backend {
  readonly values: Values
  readonly leases: Leases
  readonly meters: Meters
  readonly bus: Bus
  readonly logs: Logs
  close(): Promise<void>
}

/** The second cache tier: the latest content of each topic, its version, and the fence against late writers. */
export interface Values {
  /**
   * Of which line of epochs the versions are: an opaque text, the same on all nodes that share them, and another one when the epochs begin anew
   * without knowing of those before. Undefined until it is known.
   */
  readonly lineage: string | undefined
  /** What memory has it gives at once, without a promise. */
  read(topic: string): MaybePromise<Stored | undefined>
  /**
   * Takes a content as the latest: the same version with a new `checkedAt` when it is unchanged, the next sequence
   * when it changed, a new epoch when the past is lost. Those who listen on the bus are told.
   * Answers undefined, and changes nothing, when `token` is below the topic's fence.
   *
   * A content with a stamp comes with its version: it is taken when that is larger than what is kept, moves `checkedAt` when it is
   * the same, and changes nothing when it is smaller. Answers what is kept then. Versions decide, so the fence is not asked.
   */
  publish(topic: string, publication: Publication): Promise<Stored | undefined>
  /** What is kept of a topic counts as never confirmed, so that nobody takes it for fresh; its version goes on. */
  expire(topic: string): Promise<void>
}

export interface Publication {
  /** The fencing token of the lease under which the content was fetched. */
  readonly token: number
  /** The epoch this node last saw for the topic, 0 when none: a new epoch must be larger. */
  readonly knownEpoch: number
  /**
   * The sequence that it last saw in that epoch. When less is kept, what was written last is lost, as when a replica takes over that had
   * not heard of it: its versions are in the world, so the next begins an epoch. 0 unless told.
   */
  readonly knownSequence?: number
  readonly hash: string
  readonly content: Omit<Content, 'since' | 'staleFrom'>
  /** How old the content is, in milliseconds: `checkedAt` is as long ago. 0 unless told; of no meaning for one with a stamp. */
  readonly age?: number
  /** In how many milliseconds it counts as stale; never unless told. */
  readonly staleIn?: number
  /** How long it is kept, in milliseconds. */
  readonly keep: number
}

/** Who may fetch a topic now, on any node. */
export interface Leases {
  /** Takes the lease, or says for how many milliseconds another holds it. `known`: the largest token seen before. */
  acquire(name: string, owner: string, ttl: number, known: number): Promise<Lease>
  /** Holds it for `ttl` milliseconds from now, unless another has it by now or it was given back. */
  renew(name: string, owner: string, token: number, ttl: number): Promise<void>
  /** Gives it back; does nothing unless owner and token are the holder's. */
  release(name: string, owner: string, token: number): Promise<void>
  /**
   * Who sees to these for the next `ttl` milliseconds, such as asks for what is watched: for each, whether it is this owner now.
   * It is unless another claimed it and its time is not over. A `ttl` of 0 gives up what the owner has.
   */
  claim(group: string, names: readonly string[], owner: string, ttl: number): MaybePromise<readonly boolean[]>
}

export type Lease = { readonly held: true; readonly token: number } | { readonly held: false; readonly for: number }

/** Counts what was spent of the limits of upstreams, exactly. */
export interface Meters {
  /** The meter of one upstream; the same name gives the same meter to all who ask. */
  open(upstream: string, plan: MeterPlan): Meter
}

export interface MeterPlan {
  readonly limits: readonly MeterLimit[]
  /** API keys to spread calls over, at least 1: an upstream without keys counts as one with one. */
  readonly keys: number
  /** A name for each of them that does not depend on its place, and tells nothing of it; by default its place. */
  readonly names?: readonly string[]
  /** `unknown`: calls may have been made before we came, so nothing is granted for one window. */
  readonly pastUsage: 'unknown' | 'none'
  /** Spreads starts evenly over each window instead of granting a whole limit at once. */
  readonly pace?: boolean
  /** Milliseconds that a call may be on its way: the places of a node that died are held so long. 10 s unless told. */
  readonly timeout?: number
  /** Milliseconds after which a key that is used up is tried again, by one call: somebody may have paid. An hour unless told. */
  readonly spentFor?: number
}

/** As `MeterPlan` has it. */
export const SPENT_FOR = 3_600_000

export interface MeterLimit {
  /** Units that fit in the window. */
  readonly limit: number
  /** Milliseconds; the window slides. */
  readonly window: number
  /** Whether all keys share it, or each has its own. */
  readonly by: 'account' | 'key'
  /** What it counts: the cost of each call (by default), or each call as one. */
  readonly counts?: 'calls' | 'cost'
  /** Which calls it counts: all (by default), those of the lane of this name, or, as `*`, those of each lane apart. */
  readonly lane?: string
}

/** All windows of one upstream. A grant holds its places in them until one window after it was settled. */
export interface Meter {
  /**
   * Grants what may start now, in the order of the wants, and says how long to wait for the first that may not. A want
   * that a limit of its own lane holds up holds up that lane alone; any other holds up all behind it.
   * What memory can decide it decides at once, without a promise. A meter that can't be reached may reject.
   */
  acquire(wants: readonly Want[]): MaybePromise<Grants>
  /** The call of a grant is over: its places come free one window from now. `cost`: what it cost in truth. */
  release(grant: Grant, cost?: number): void
  /** The call of a grant was never started: its places are free. */
  cancel(grant: Grant): void
  /** The upstream said to wait: nothing is granted, on this key or on all, for so many milliseconds. */
  pause(duration: number, key: number | undefined): void
  /** The same, of the calls of one lane. */
  pauseLane(duration: number, lane: string): void
  /** The upstream refused a call that we thought would fit: limits shrink, and creep back. */
  backOff(): void
  /** This key is used up: it is granted no more until one call may try it again, after that time or after what is said. */
  exhaustKey(key: number, duration?: number): void
  /** The upstream says how much is left of its longest windows of each kind: others may have spent the rest. */
  syncRemaining(remaining: Remaining, key: number): void
}

export interface Want {
  readonly priority: Priority
  readonly cost: number
  /** What the upstream counts apart, such as a method. */
  readonly lane?: string
}

/** Leave to start one call, with the key of this index. */
export interface Grant {
  readonly id: number
  readonly key: number
  readonly cost: number
  readonly lane: string
  /** Moments on the monotonic clock between which it may be used; a grant that was made at once may be used at once. */
  readonly notBefore: number
  readonly expiresAt: number
}

export interface Grants {
  readonly granted: readonly Grant[]
  /**
   * Milliseconds until it is worth asking again: the next want may be granted then. Undefined when only the end of a call
   * on this node can free a place.
   */
  readonly wait: number | undefined
  /** Why a want will never be granted: all keys are spent, or it costs more than fits in a window. */
  readonly never?: 'exhausted' | 'too large'
  /** What the nodes share can not be reached, and this node has no share of the limits: nothing is granted until that is over. */
  readonly unavailable?: true
}

/** Tells all nodes. */
export interface Bus {
  publish(channel: string, message: Stored): void
  /** Returns how to stop listening. */
  subscribe(channel: string, listener: (message: Stored) => void): () => void
  /** Says a word to all nodes, this one too. It is not kept for those who can't hear it now. */
  broadcast(channel: string, word: string): void
  /** Hears words. An empty one says that some may have been missed. Returns how to stop. */
  onBroadcast(channel: string, listener: (word: string) => void): () => void
}

/** Bounded histories of events in order. */
export interface Logs {
  /** Adds an event and answers where it stands: its offsets count from 1 in each epoch. Those who listen are told. */
  append(log: string, event: Buffer, bounds: LogBounds): Promise<Version>
  /** The same if the newest event stands at `after`, at offset 0 where there is none; else adds nothing, and answers undefined. */
  appendAfter(log: string, after: Version, event: Buffer, bounds: LogBounds): Promise<Version | undefined>
  /** At most so many events after an offset, oldest first. One below `oldest - 1` asks for what is lost. */
  read(log: string, after: number, most: number): Promise<LogHistory>
  /**
   * Tells of each event that is added on any node, in order. One that got lost on its way shows as a hole before the next.
   *
   * @param missed called when events are missing and it may be long until the next shows it, where that is known
   * @returns how to stop listening
   */
  subscribe(log: string, listener: (line: LogLine) => void, missed?: () => void): () => void
}

export interface LogBounds {
  readonly events: number
  /** Milliseconds. */
  readonly age: number
}

/** An event where it stands. */
export interface LogLine {
  /** A log that lost its past begins a larger epoch, so that no offset ever means two events. */
  readonly epoch: number
  readonly offset: number
  /** Of which line of epochs the position is, where that is an origin's. Positions that are given here are of the backend's. */
  readonly lineage?: string | undefined
  /** When it was added, wall time in milliseconds since 1970. */
  readonly at: number
  /** JSON text. */
  readonly event: Buffer
}

export interface LogHistory {
  /** All of the epoch of now. */
  readonly events: readonly LogLine[]
  readonly epoch: number
  /** As of an event. */
  readonly lineage?: string | undefined
  /** The oldest offset that is kept; one more than the newest when none is. */
  readonly oldest: number
  /** The newest offset ever given in this epoch; 0 when there was none. */
  readonly newest: number
}
