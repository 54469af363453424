import { LONG } from '../memory/meters.ts'
import type { Grant } from '../ports.ts'
import type { Place, TakeRequest } from './take.ts'

/** A call that is over: its true cost, and when it ended on the monotonic clock. */
export interface EndedCall {
  readonly grant: Grant
  readonly cost: number
  readonly at: number
}

/** A call that is under way. Its place is held until `heldAt` plus the time that calls are held for. */
export interface RunningCall {
  readonly grant: Grant
  heldAt: number
}

/** The calls of this node that count in the shared windows, so that it can report them after a loss. */
export class MeterCalls {
  readonly #running = new Map<number, RunningCall>()
  /** Oldest first, for as long as they count in a window that is reported completely. */
  readonly #ended = new Set<EndedCall>()

  start(grant: Grant, heldAt: number): void {
    this.#running.set(grant.id, { grant, heldAt })
  }

  /** The call never started. */
  drop(grant: Grant): void {
    this.#running.delete(grant.id)
  }

  end(call: EndedCall): void {
    this.#running.delete(call.grant.id)
    this.#ended.add(call)
    for (const old of this.#ended) {
      // Counted in the longest window, also where only other nodes have it.
      if (old.at + LONG >= call.at) break
      this.#ended.delete(old)
    }
  }

  /** Running calls whose places were last extended before this moment. */
  heldBefore(moment: number): readonly RunningCall[] {
    return [...this.#running.values()].filter(({ heldAt }) => heldAt < moment)
  }

  all(): readonly (EndedCall | RunningCall)[] {
    return [...this.#running.values(), ...this.#ended]
  }
}

export function placeOf({ id, key, lane, cost }: Grant): Place {
  return [id, key, lane, cost]
}

/** A call as it is replayed into new windows: with its true cost, for what is left of a window. */
export function replayOf(call: EndedCall | RunningCall, now: number): TakeRequest['replay'][number] {
  if (!('at' in call)) return [...placeOf(call.grant), -1]
  const { id, key, lane } = call.grant
  return [id, key, lane, call.cost, now - call.at]
}
