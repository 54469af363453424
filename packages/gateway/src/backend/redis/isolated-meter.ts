import type { Clock } from '../../clock.ts'
import { memoryMeter, tooLarge } from '../memory/meters.ts'
import type { Grant, Grants, Meter, MeterPlan, Want } from '../ports.ts'
import type { TakeRequest } from './take.ts'

/** A node cut off from the others, spending its own share of the limits: the others leave it that much. */
export interface IsolatedMeter {
  readonly meter: Pick<Meter, 'pause' | 'pauseLane' | 'backOff' | 'exhaustKey' | 'syncRemaining'>
  take(wants: readonly Want[], id: () => number): Grants
  /** False when the grant is not one of its own. */
  settle(grant: Grant, cost: number): boolean
  cancel(grant: Grant): boolean
  /** What it spent that still counts, for the shared windows. */
  spent(): TakeRequest['replay']
  /** Its grants whose calls are over, as far as they still count. */
  ended(): readonly Ended[]
  /** Its grants that are under way. */
  running(): readonly Grant[]
}

/** A call that is over: what it cost in truth, and when that was on the monotonic clock. */
export interface Ended {
  readonly grant: Grant
  readonly truth: number
  readonly at: number
}

interface Spent {
  readonly grant: Grant
  readonly own: Grant
  cost: number
  settledAt: number | undefined
}

/** How soon one that may not start is to ask again, in milliseconds. */
const AGAIN = 250

export function isolatedMeter(plan: MeterPlan, share: number, clock: Clock): IsolatedMeter {
  const limits = plan.limits.map((limit) => ({ ...limit, limit: Math.floor(limit.limit * share + 1e-9) }))
  const longest = Math.max(0, ...limits.map(({ window }) => window))
  const meter = memoryMeter(clock, { ...plan, limits, pastUsage: 'none' })
  const spent = new Map<number, Spent>()

  function forget(): void {
    const now = clock.monotonic()
    for (const [id, { settledAt }] of spent) {
      if (settledAt !== undefined && settledAt + longest < now) spent.delete(id)
    }
  }

  return {
    meter,

    take(wants, id) {
      forget()
      // What is too large for a share is not too large for the whole: it waits until the node is back, and holds up nobody.
      const fitting = wants.filter((want) => !tooLarge(limits, want))
      if (fitting.length === 0) return { granted: [], wait: AGAIN }
      const taken = meter.acquire(fitting)
      if (taken instanceof Promise) throw new TypeError('expected memory to answer at once')
      const granted = taken.granted.map((own) => {
        const grant = { ...own, id: id() }
        spent.set(grant.id, { grant, own, cost: grant.cost, settledAt: undefined })
        return grant
      })
      return { ...taken, granted }
    },

    settle(grant, cost) {
      const one = spent.get(grant.id)
      if (one === undefined || one.settledAt !== undefined) return false
      one.cost = cost
      one.settledAt = clock.monotonic()
      meter.release(one.own, cost)
      return true
    },

    cancel(grant) {
      const one = spent.get(grant.id)
      if (one === undefined) return false
      spent.delete(grant.id)
      meter.cancel(one.own)
      return true
    },

    spent() {
      forget()
      const now = clock.monotonic()
      return [...spent.values()].map(({ grant: { id, key, lane }, cost, settledAt }) => [
        id,
        key,
        lane,
        cost,
        settledAt === undefined ? -1 : now - settledAt,
      ])
    },

    ended: () =>
      [...spent.values()].flatMap(({ grant, cost, settledAt }) =>
        settledAt === undefined ? [] : [{ grant, truth: cost, at: settledAt }],
      ),

    running: () => [...spent.values()].filter(({ settledAt }) => settledAt === undefined).map(({ grant }) => grant),
  }
}
