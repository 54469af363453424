import { type Grant, type Meter, type MeterPlan, SPENT_FOR } from '../backend/ports.ts'
import type { Clock } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { RateLimitSignal } from '../rate-limit-signal.ts'
import type { Bulkhead } from './bulkhead.ts'
import type { Estimate } from './estimate.ts'
import type { Gates } from './gates.ts'
import type { Start, Started } from './start.ts'

/** How long a call may travel, in milliseconds, besides being held up. A call that was given up arrives all the same. */
const STILL_ARRIVING = 250

/**
 * The longest that a call may be on its way, in milliseconds: that long its place is held when its end is unknown, as when its node or the
 * backend stands still.
 *
 * @param timeout after which the call is given up
 * @param stall the longest that the network may hold a call up
 */
export function longestCall(timeout: number, stall: number): number {
  return Math.max(timeout, stall) + STILL_ARRIVING
}

export interface RunningParts {
  readonly upstream: string
  readonly meter: Meter
  readonly plan: MeterPlan
  readonly clock: Clock
  readonly emit: Emit
  readonly keys: readonly string[]
  readonly stall: number
  readonly bulkhead: Bulkhead
  readonly estimate: Estimate
  readonly gates: Gates
  /** The upstream paused one lane for this many milliseconds. */
  readonly pauseLane: (lane: string, duration: number) => void
  /** Others may start now. */
  readonly changed: () => void
}

/** The calls under way, and what their answers say of the limits. */
export class RunningCalls {
  readonly #parts: RunningParts
  #size = 0

  constructor(parts: RunningParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#size
  }

  start(grant: Grant, start: Start): Started {
    const { bulkhead, clock, estimate, meter, changed } = this.#parts
    const at = clock.monotonic()
    const berth = bulkhead.enter(start)
    this.#size += 1
    return {
      key: grant.key,
      alone: berth.hangs,
      end: ({ cost, arrived = true } = {}) => {
        this.#size -= 1
        if (arrived) {
          estimate.answered(clock.monotonic() - at)
          berth.answered()
          meter.release(grant, cost)
        } else {
          berth.failed()
          this.#releaseLater(at, () => {
            berth.gone()
            meter.release(grant, cost)
            changed()
          })
        }
        changed()
      },
      apply: (signal) => this.#apply(signal, grant, start),
    }
  }

  /**
   * A call without an answer may arrive later than one that starts a window from now, and then both would be in one window. What was held
   * up since the call started has arrived by then, so a call that ran for longer than a stall waits no longer.
   */
  #releaseLater(startedAt: number, release: () => void): void {
    const { clock, stall } = this.#parts
    const held = Math.max(0, startedAt + stall - clock.monotonic())
    clock.after(held + STILL_ARRIVING, release)
  }

  #apply({ remaining, exhausted, pause, ofLane }: RateLimitSignal, { key }: Grant, { lane }: Start): void {
    const { upstream, meter, plan, emit, keys, gates, pauseLane } = this.#parts
    if (remaining !== undefined) meter.syncRemaining(remaining, key)
    if (exhausted) {
      const { spentFor = SPENT_FOR } = plan
      meter.exhaustKey(key)
      gates.closeKey(key, spentFor)
      emit({ type: 'budget.closed', upstream, for: spentFor, reason: `key ${key + 1} is used up` })
    }
    if (pause === undefined) return
    if (ofLane && lane !== undefined) {
      pauseLane(lane, pause)
      return
    }
    const one = plan.limits.some(({ by }) => by === 'account') ? undefined : key
    gates.closeKey(one, pause)
    meter.pause(pause, keys.length > 1 ? one : undefined)
    meter.backOff()
    emit({ type: 'budget.closed', upstream, for: pause, reason: 'the upstream refused a call' })
  }
}
