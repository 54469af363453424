import type { Remaining } from '../../rate-limit-signal.ts'
import type { MeterLimit } from '../ports.ts'

// The messages of the meter's script, `TAKE`. `lua/take-windows.lua` says what the script does with them.

/** A call's place in the windows. */
export type Place = readonly [id: number, key: number, lane: string, cost: number]

/** What is paused: a key by its index, all keys as -1, or a lane by its name. */
export type Paused = number | string

/** What a node sends. Times are milliseconds. */
export interface TakeRequest extends TakeSettings {
  readonly node: string
  /** The number of this request, and of the last one whose reply was received. */
  readonly sequence: number
  readonly lastReply: number
  /** Redis's time in the last reply received. */
  readonly lastTime: number
  /** The generation of the windows that this node knows and has reported its past to; '' at first. */
  readonly generation: string
  /** The version of the list of nodes that it knows. */
  readonly membershipVersion: number
  /** What the node would spend of the limits if it were cut off now. */
  readonly share: number
  /** This is the node's last request. */
  readonly leave: boolean

  /** After a loss: the nodes that were there, and whether this node reports everything that Redis knew of it. */
  readonly members: readonly string[]
  readonly complete: boolean
  /** A new meter must assume calls that it knows nothing of. */
  readonly pastUnknown: boolean
  readonly clockJumped: boolean
  /** After a loss or an outage: every call that still counts. An age of -1: the call is under way. */
  readonly replay: readonly (readonly [...Place, age: number])[]

  readonly wants: readonly { readonly rank: number; readonly cost: number; readonly lane: string }[]
  /** The id of the first grant; those of the others follow. */
  readonly firstId: number
  readonly ended: readonly (readonly [...Place, cost: number, age: number])[]
  readonly cancelled: readonly Place[]
  /** Calls that go on for longer than half of `hold`. */
  readonly extended: readonly Place[]

  readonly pauses: readonly (readonly [duration: number, of: Paused])[]
  readonly exhausted: readonly number[]
  /** What the upstream said is left, by what limits count. */
  readonly remaining: readonly (Remaining & { readonly key: number })[]
  readonly backOff: boolean
}

/** What is the same in every request of a node. */
export interface TakeSettings {
  /** Those of this node; `synced`: `remaining` is of this one. */
  readonly limits: readonly (MeterLimit & { readonly synced: boolean })[]
  /** The limits as one text, the same for lists that differ in order alone. */
  readonly limitsForm: string
  readonly pace: boolean
  readonly keyCount: number
  /** A name for each key that is the same on all nodes, whatever its index there. */
  readonly keyNames: readonly string[]

  /** A node counts as absent when it received no reply for this long. */
  readonly presenceTtl: number
  /** A node gets its first grant this long after it came, or when all others know of it. */
  readonly joinDelay: number
  /** How long after its last contact with Redis a node may spend its own share; 0 where none may. */
  readonly isolationLimit: number
  /** How long the place of a call is held that no end was reported of. */
  readonly hold: number
  /** How far clocks may differ before that counts as a jump. */
  readonly slack: number
  /** Starts are granted at most this far ahead. */
  readonly horizon: number
  /** How long after its process died a call may still arrive. */
  readonly lastArrivals: number
  /** Windows longer than this are probed after a loss, instead of waited for. */
  readonly longWindow: number
  /** An exhausted key is tried again after this time. */
  readonly exhaustedFor: number
  /** One start in this many goes to a lower class that waits on another node. */
  readonly lowerClassTurn: number
  /** After a refusal: the factor for the limits, the least of them that stays, what comes back in each of the shortest windows. */
  readonly backOffFactor: number
  readonly backOffFloor: number
  readonly backOffRecovery: number
  /** Paced starts come at this part of an even spread. */
  readonly paceCatchUp: number
  /** How many lanes are checked for deletion. */
  readonly laneSweep: number
}

/** A list as `cjson` writes it: an empty one becomes an empty object, since Lua has one kind of table. */
export type Listed<Item> = readonly Item[] | Readonly<Record<string, never>>

/** What the script answers. */
export interface TakeReply {
  /** The request came after a later one of the same node. Nothing else is given then. */
  readonly outdated?: true
  /** Redis's time. */
  readonly now: string
  readonly generation: string
  readonly granted: Listed<readonly [...Place, opensIn: number]>
  /** Milliseconds until it is worth asking again. */
  readonly wait?: number
  readonly never?: 'exhausted'
  /** The pauses that go on, and for how long. */
  readonly paused: Listed<readonly [duration: number, of: Paused]>
  /** Keys that are used up. */
  readonly exhausted: Listed<number>
  readonly share: number
  /** Redis knows something that the nodes could not restore if it were lost now. */
  readonly unreplicated: boolean
  /** The version of the list of nodes, and the list if the node did not know it. */
  readonly membershipVersion: number
  readonly members?: Listed<string>
  readonly clockJumped: boolean
  readonly probing: boolean
  /** The limits that hold, while nodes have different ones. */
  readonly limits?: Listed<MeterLimit>
}
