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
   * The lineage of the versions: an opaque text, the same on all nodes that share them. It changes when epochs start again without knowledge of
   * those before. Undefined until it is known.
   */
  readonly lineage: string | undefined
  /** A value in memory is given at once, without a promise. */
  read(topic: string): MaybePromise<Stored | undefined>
  /**
   * Stores a content as the latest, and publishes it on the bus. An unchanged content keeps its version and gets a new `checkedAt`, a changed
   * one gets the next sequence, and one whose past is lost a new epoch. Gives undefined, and changes nothing, if `token` is below the
   * topic's fence.
   *
   * A content with a stamp brings its version. A larger one than the stored is taken, the same moves `checkedAt`, and a smaller one changes
   * nothing; the stored value is given then. The version decides, so the fence does not.
   */
  publish(topic: string, publication: Publication): Promise<Stored | undefined>
  /** Marks the stored value as never confirmed, so that no node takes it for fresh. Its version stays. */
  expire(topic: string): Promise<void>
}

export interface Publication {
  /** The fencing token of the lease under which the content was fetched. */
  readonly token: number
  /** The epoch this node last saw for the topic, 0 when none: a new epoch must be larger. */
  readonly knownEpoch: number
  /**
   * The sequence that it last saw in that epoch, 0 by default. If the stored one is smaller, the last write was lost, as when a replica
   * takes over that had not received it. Its version may have been sent to clients, so the next one starts an epoch.
   */
  readonly knownSequence?: number
  readonly hash: string
  readonly content: Omit<Content, 'since' | 'staleFrom'>
  /** Age of the content in milliseconds, 0 by default: `checkedAt` is as long ago. Ignored for a content with a stamp. */
  readonly age?: number
  /** In how many milliseconds it counts as stale; by default never. */
  readonly staleIn?: number
  /** How long it is kept, in milliseconds. */
  readonly keep: number
}

/** Which node may fetch a topic now. */
export interface Leases {
  /** Takes the lease, or says for how many milliseconds another owner holds it. `known`: the largest token seen before. */
  acquire(name: string, owner: string, ttl: number, known: number): Promise<Lease>
  /** Extends it to `ttl` milliseconds from now, unless another owner has it or it was given back. */
  renew(name: string, owner: string, token: number, ttl: number): Promise<void>
  /** Gives it back; does nothing unless owner and token are the holder's. */
  release(name: string, owner: string, token: number): Promise<void>
  /**
   * Claims names, such as keys to poll, for `ttl` milliseconds: for each, whether it is this owner's now. It is, unless another owner's
   * claim still runs. A `ttl` of 0 gives the owner's claims up.
   */
  claim(group: string, names: readonly string[], owner: string, ttl: number): MaybePromise<readonly boolean[]>
}

export type Lease = { readonly held: true; readonly token: number } | { readonly held: false; readonly for: number }

/** Counts exactly what was spent of the limits of upstreams. */
export interface Meters {
  /** The meter of one upstream. The same name gives the same meter. */
  open(upstream: string, plan: MeterPlan): Meter
}

export interface MeterPlan {
  readonly limits: readonly MeterLimit[]
  /** API keys to spread calls over, at least 1: an upstream without keys counts as one with one. */
  readonly keys: number
  /** A name for each key that does not depend on its index, and reveals nothing of the key; by default the index. */
  readonly names?: readonly string[]
  /** `unknown`: calls may have been made before this process started, so nothing is granted for one window. */
  readonly pastUsage: 'unknown' | 'none'
  /** Spreads starts evenly over each window instead of granting a whole limit at once. */
  readonly pace?: boolean
  /** Milliseconds that a call may be on its way: the places of a dead node are held that long. 10 s by default. */
  readonly timeout?: number
  /** Milliseconds after which one call tries an exhausted key again: it may have been paid for. An hour by default. */
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
  /** Which calls it counts: all (by default), those of the lane of this name, or with `*` those of each lane separately. */
  readonly lane?: string
}

/** All windows of one upstream. A grant holds its places in them until one window after it was released. */
export interface Meter {
  /**
   * Grants what may start now, in the order of the wants, and says how long to wait for the first that may not. A want
   * that is held up by a limit of its own lane holds up that lane only; any other holds up all behind it.
   * A meter in memory answers at once, without a promise. A meter that can't be reached may reject.
   */
  acquire(wants: readonly Want[]): MaybePromise<Grants>
  /** The call of a grant is over: its places come free one window from now. `cost`: its true cost. */
  release(grant: Grant, cost?: number): void
  /** The call of a grant never started: its places are free. */
  cancel(grant: Grant): void
  /** The upstream asked for a pause: nothing is granted, on this key or on all, for this many milliseconds. */
  pause(duration: number, key: number | undefined): void
  /** The same for the calls of one lane. */
  pauseLane(duration: number, lane: string): void
  /** The upstream refused a call that should have fit: the limits shrink, and recover slowly. */
  backOff(): void
  /** This key is used up: it is not granted until one call may try it again, after `duration` or the plan's time. */
  exhaustKey(key: number, duration?: number): void
  /** The upstream says how much is left of its longest windows of each kind: others may have spent the rest. */
  syncRemaining(remaining: Remaining, key: number): void
}

export interface Want {
  readonly priority: Priority
  readonly cost: number
  /** What the upstream counts separately, such as a method. */
  readonly lane?: string
}

/** Leave to start one call, with the key of this index. */
export interface Grant {
  readonly id: number
  readonly key: number
  readonly cost: number
  readonly lane: string
  /** Moments on the monotonic clock between which it may be used. A grant that was made at once may be used at once. */
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
  /** Why a want will never be granted: all keys are used up, or it costs more than fits in a window. */
  readonly never?: 'exhausted' | 'too large'
  /** The backend can't be reached, and this node has no share of its own: nothing is granted until that is over. */
  readonly unavailable?: true
}

/** Messages to all nodes. */
export interface Bus {
  publish(channel: string, message: Stored): void
  /** Returns how to stop listening. */
  subscribe(channel: string, listener: (message: Stored) => void): () => void
  /** Sends a message to all nodes, including this one. It is not kept for nodes that can't receive it now. */
  broadcast(channel: string, message: string): void
  /** Receives such messages. An empty one says that some may have been missed. Returns how to stop. */
  onBroadcast(channel: string, listener: (message: string) => void): () => void
}

/** Bounded histories of events in order. */
export interface Logs {
  /** Adds an event, publishes it, and gives its position: offsets count from 1 in each epoch. */
  append(log: string, event: Buffer, bounds: LogBounds): Promise<Version>
  /** The same if the newest event is at `after`, offset 0 for an empty log. Otherwise adds nothing, and gives undefined. */
  appendAfter(log: string, after: Version, event: Buffer, bounds: LogBounds): Promise<Version | undefined>
  /** At most `most` events after an offset, oldest first. An offset below `oldest - 1` asks for events that are lost. */
  read(log: string, after: number, most: number): Promise<LogHistory>
  /**
   * Gives each event that is added on any node, in order. An event that was lost on its way shows as a hole before the next.
   *
   * @param missed called when events are known to be missing and it may be long until the next one shows it
   * @returns how to stop listening
   */
  subscribe(log: string, listener: (line: LogLine) => void, missed?: () => void): () => void
}

export interface LogBounds {
  readonly events: number
  /** Milliseconds. */
  readonly age: number
}

/** An event with its position. */
export interface LogLine {
  /** A log that lost its past begins a larger epoch, so that no offset ever means two events. */
  readonly epoch: number
  readonly offset: number
  /** The lineage of the position, if it is an origin's. Positions that are given here are of the backend's. */
  readonly lineage?: string | undefined
  /** When it was added: wall time in milliseconds since 1970. */
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
  /** The oldest offset that is kept; one more than the newest if none is. */
  readonly oldest: number
  /** The newest offset ever given in this epoch; 0 if there was none. */
  readonly newest: number
}
