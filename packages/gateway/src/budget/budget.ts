import type { Grant, Meter, MeterPlan } from '../backend/ports.ts'
import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { type RateLimitReader, readRateLimitHeaders } from '../rate-limit-signal.ts'
import { createBulkhead } from './bulkhead.ts'
import { createEstimate } from './estimate.ts'
import { Gates } from './gates.ts'
import { Lanes, type Seat, type Waiter } from './lanes.ts'
import { Pump } from './pump.ts'
import { RunningCalls } from './running-calls.ts'
import { Schedule } from './schedule.ts'
import { budgetStage } from './stage.ts'
import type { Start, Started } from './start.ts'

export interface BudgetParts {
  readonly upstream: string
  readonly meter: Meter
  readonly plan: MeterPlan
  readonly clock: Clock
  readonly emit: Emit
  /** Calls under way at once. */
  readonly concurrency: number
  /** The API keys, by the index that grants name; empty when there are none. */
  readonly keys: readonly string[]
  /** The longest that the network may hold a call up, in milliseconds; 2,000 by default. */
  readonly stall?: number
  /** Reads what the upstream's answers say of its limits; by default status and headers. */
  readonly rateLimits?: RateLimitReader | undefined
}

/** The stage that says when a call may start, and what waits. */
export interface Budget {
  readonly stage: Stage<UpstreamRequest, Promise<UpstreamAnswer>>
  /**
   * Waits for leave to start.
   *
   * @throws WeirError `over_budget` if there will be none before the deadline, `upstream_quota_exhausted` if there never will be
   */
  enter(start: Start): Promise<Started>
  /** Calls that wait. */
  readonly queued: number
  /** Calls under way. */
  readonly running: number
  /** Calls a second that can start in the long run, at the answer times and costs of late. */
  readonly rate: number
}

const STALL = 2000

/** A call that waits in the budget. */
interface QueuedCall extends Waiter {
  admit(grant: Grant): void
  fail(error: unknown): void
  /** It can't start before its deadline. */
  refuse(): void
}

/**
 * Starts a call only when the meter has a place for it: higher classes first, clients in turn. No call holds a place in the future, so an
 * urgent call that comes late still goes first.
 */
export function createBudget(parts: BudgetParts): Budget {
  const { upstream, meter, plan, clock, emit, concurrency, keys, stall = STALL } = parts
  const { rateLimits = readRateLimitHeaders } = parts
  const estimate = createEstimate(plan, concurrency)
  const bulkhead = createBulkhead(concurrency, clock, () => estimate.answerTime)
  const gates = new Gates(clock, keys.length)
  const separate = plan.limits.some(({ lane }) => lane !== undefined)
  const lanes = new Lanes<QueuedCall>({ separate, bulkhead, clock })
  const schedule = new Schedule(clock, deliver)
  const changed = () => pump.soon()
  const running = new RunningCalls({
    ...{ upstream, meter, plan, clock, emit, keys, stall },
    ...{ bulkhead, estimate, gates, pauseLane, changed },
  })
  const pump = new Pump({ upstream, meter, plan, clock, emit, concurrency, lanes, running, schedule, gates })

  /** The best call at that moment gets the grant: the one that asked may have left while a shared meter was answering. */
  function deliver(grant: Grant): void {
    const seat = clock.monotonic() > grant.expiresAt ? undefined : lanes.take(grant.lane, grant.cost)
    if (seat !== undefined) {
      seat.waiter.admit(grant)
      return
    }
    meter.cancel(grant)
    pump.soon()
  }

  /** Milliseconds until a call that comes now would start. */
  function expectedWait(start: Start): number {
    const lane = lanes.nameOf(start)
    const closed = gates.ofLane(lane)
    if (lanes.isClear(start)) return closed
    // With separate lanes it is not known which of them the meter will open first.
    const shut = lanes.separate ? closed : gates.ofAll
    return shut + estimate.lasting(lanes.ahead(start), lane, lanes.meanCost)
  }

  function refusal(priority: Priority, retryAfter: number, why: string): WeirError {
    emit({ type: 'budget.refused', upstream, priority, retryAfter })
    const detail = `${upstream}: ${why} (next in ${Math.round(retryAfter)} ms, ${lanes.size} queued)`
    return new WeirError('over_budget', detail, { retryAfter })
  }

  function enter(start: Start): Promise<Started> {
    start.signal?.throwIfAborted()
    const most = estimate.largest(lanes.nameOf(start))
    if (start.cost > most) {
      const detail = `${upstream}: expected a cost of at most ${most}, got ${start.cost}`
      return Promise.reject(new WeirError('over_budget', detail))
    }
    const since = clock.monotonic()
    const wait = expectedWait(start)
    if (start.deadline <= since || since + wait > start.deadline) {
      const patience = Math.max(0, Math.round(start.deadline - since))
      return Promise.reject(refusal(start.priority, Math.max(1, wait), `no capacity within ${patience} ms`))
    }
    return new Promise((resolve, reject) => queue(start, since, resolve, reject))
  }

  function queue(
    start: Start,
    since: number,
    resolve: (started: Started) => void,
    reject: (error: unknown) => void,
  ): void {
    const call: QueuedCall = {
      start,
      since,
      admit(grant) {
        stop()
        emit({ type: 'budget.started', upstream, waited: clock.monotonic() - since, priority: seat.priority })
        resolve(running.start(grant, start))
      },
      fail(error) {
        if (!lanes.leave(seat)) return
        stop()
        reject(error)
      },
      refuse() {
        const patience = Math.max(0, Math.round(start.deadline - clock.monotonic()))
        call.fail(refusal(seat.priority, expectedWait(start), `no capacity within ${patience} ms`))
      },
    }
    const late = clock.after(start.deadline - since, () => {
      const waited = Math.round(clock.monotonic() - since)
      call.fail(refusal(seat.priority, Math.max(1000, expectedWait(start)), `no capacity after a wait of ${waited} ms`))
      // The next call may cost less, or be of another lane.
      pump.soon()
    })
    const aborted = () => call.fail(start.signal?.reason)
    start.signal?.addEventListener('abort', aborted)
    const stopRaising = start.onRaise?.((priority) => seat.raise(priority))
    const stop = () => {
      late.stop()
      stopRaising?.()
      start.signal?.removeEventListener('abort', aborted)
    }
    const seat: Seat<QueuedCall> = lanes.add(call)
    pump.soon()
  }

  /** The upstream counts this lane separately, whatever was declared: from now on it waits by itself, and no other for it. */
  function pauseLane(lane: string, duration: number): void {
    lanes.separateLanes()
    const opensAt = gates.closeLane(lane, duration)
    for (const { waiter } of lanes.of(lane)) if (waiter.start.deadline <= opensAt) waiter.refuse()
    meter.pauseLane(duration, lane)
    emit({ type: 'budget.closed', upstream, for: duration, reason: `the upstream refused ${lane}` })
    pump.soon()
  }

  return {
    enter,
    stage: budgetStage({ upstream, clock, keys, rateLimits, gates, estimate, enter, expectedWait }),
    get queued() {
      return lanes.size
    },
    get running() {
      return running.size
    },
    get rate() {
      return estimate.rate(lanes.meanCost)
    },
  }
}
