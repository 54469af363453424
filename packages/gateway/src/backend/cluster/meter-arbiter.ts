import type { Clock } from '../../clock.ts'
import type { Priority } from '../../events.ts'
import { LAST_ARRIVALS } from '../memory/meters.ts'
import type { Grant, Meter, MeterPlan, Want } from '../ports.ts'
import type { TimedGrants } from './protocol.ts'

/** Decides which worker the meter of an upstream grants next. A worker is any object that stands for one. */
export interface MeterArbiter {
  readonly meter: Meter
  /** From now on this meter grants. Calls that were granted before end in the meter that granted them. */
  replace(meter: Meter, plan: MeterPlan): void
  take(worker: object, wants: readonly Want[]): TimedGrants
  settle(worker: object, grant: number, cost: number): void
  cancel(worker: object, grant: number): void
  /** The worker died: its calls are over, but may still arrive. */
  gone(worker: object): void
}

/** For this many milliseconds after the moment at which a worker was to ask again, its turn is kept. */
const GRACE = 20

/** A worker that is behind another asks again after this many milliseconds. */
const TURN = 4

/** A worker that waits for the end of another worker's call asks again after this many milliseconds at the latest. */
const RETRY = 100

/** One grant in this many goes by how long workers have waited, and not by class. */
const TURN_OF_THE_AGED = 8

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

interface Running {
  readonly grant: Grant
  readonly meter: Meter
}

interface Waiting {
  readonly rank: number
  /** Moments on the monotonic clock: since when it waits for its turn, and when it is to ask again. */
  readonly since: number
  readonly at: number
}

/**
 * Higher classes go first, across workers; within a class, the worker that has waited longest. Each worker asks again when there may be a
 * place, and for a moment a place is kept for the worker whose turn it is.
 */
export function openMeterArbiter(first: Meter, plan: MeterPlan, clock: Clock): MeterArbiter {
  let meter = first
  let retry = retryOf(plan)
  let lastId = 0
  /** The workers that wait for each lane. */
  const lanes = new Map<string, Map<object, Waiting>>()
  const running = new Map<object, Map<number, Running>>()
  let turns = 0

  function isBehind(worker: object, lane: string, rank: number, now: number): boolean {
    const queue = lanes.get(lane)
    if (queue === undefined) return false
    const since = queue.get(worker)?.since ?? now
    const byAge = turns % TURN_OF_THE_AGED === TURN_OF_THE_AGED - 1
    for (const [other, theirs] of queue) {
      if (now > theirs.at + GRACE) queue.delete(other)
      else if (other !== worker && now >= theirs.at) {
        if (((byAge ? 0 : theirs.rank - rank) || theirs.since - since) < 0) return true
      }
    }
    return false
  }

  /** Keeps the place of a worker that did not get everything. One that got something starts to wait again. */
  function queueUp(worker: object, wants: readonly Want[], granted: readonly Grant[], now: number, at: number): void {
    const left = Map.groupBy(wants, laneOf)
    for (const [lane, asked] of left) {
      const got = granted.filter((grant) => grant.lane === lane).length
      const next = asked[got]
      const queue = lanes.get(lane) ?? new Map<object, Waiting>()
      if (next === undefined) queue.delete(worker)
      else {
        const since = got > 0 ? now : (queue.get(worker)?.since ?? now)
        queue.set(worker, { rank: rankOf(next), since, at })
      }
      if (queue.size === 0) lanes.delete(lane)
      else lanes.set(lane, queue)
    }
  }

  function othersRun(worker: object): boolean {
    for (const [other, grants] of running) if (other !== worker && grants.size > 0) return true
    return false
  }

  function over(worker: object, id: number): Running | undefined {
    const grants = running.get(worker)
    const one = grants?.get(id)
    grants?.delete(id)
    return one
  }

  return {
    get meter() {
      return meter
    },

    replace(next, plan) {
      meter = next
      retry = retryOf(plan)
    },

    take(worker, wants) {
      const now = clock.monotonic()
      const inTurn = wants.filter((want) => !isBehind(worker, laneOf(want), rankOf(want), now))
      if (inTurn.length === 0) {
        queueUp(worker, wants, [], now, now + TURN)
        return { granted: [], wait: TURN }
      }
      const taken = meter.acquire(inTurn)
      if (taken instanceof Promise) throw new TypeError('expected memory to answer at once')
      const answered = clock.monotonic()
      const granted = taken.granted.map((grant) => {
        lastId += 1
        return { ...grant, id: lastId }
      })
      const wait = taken.wait ?? (othersRun(worker) ? retry : undefined)
      queueUp(worker, wants, granted, now, now + (wait ?? Number.POSITIVE_INFINITY))
      if (granted.length > 0) turns += 1
      const grants = running.get(worker) ?? new Map<number, Running>()
      running.set(worker, grants)
      for (const grant of granted) grants.set(grant.id, { grant, meter })
      return {
        ...taken,
        wait,
        granted: granted.map(({ notBefore, expiresAt, ...grant }) => ({
          ...grant,
          opensIn: notBefore - answered,
          closesIn: expiresAt - answered,
        })),
      }
    },

    settle(worker, id, cost) {
      const one = over(worker, id)
      one?.meter.release(one.grant, cost)
    },

    cancel(worker, id) {
      const one = over(worker, id)
      one?.meter.cancel(one.grant)
    },

    gone(worker) {
      for (const queue of lanes.values()) queue.delete(worker)
      const grants = running.get(worker)
      clock.after(LAST_ARRIVALS, () => {
        running.delete(worker)
        for (const { grant, meter } of grants?.values() ?? []) meter.release(grant)
      })
    },
  }
}

function retryOf({ limits }: MeterPlan): number {
  return Math.min(RETRY, ...limits.map(({ window }) => window))
}

function laneOf({ lane = '' }: Want): string {
  return lane
}

function rankOf({ priority }: Want): number {
  return CLASSES.indexOf(priority)
}
