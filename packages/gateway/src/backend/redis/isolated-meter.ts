import type { Clock } from '../../clock.ts'
import { memoryMeter, tooLarge } from '../memory/meters.ts'
import type { Grant, Grants, Meter, MeterPlan, Want } from '../ports.ts'
import type { EndedCall } from './meter-calls.ts'
import type { TakeRequest } from './take.ts'

/** The meter of a node that is cut off. It spends the node's own share of the limits, which the others leave it. */
export interface IsolatedMeter {
  readonly meter: Pick<Meter, 'pause' | 'pauseLane' | 'backOff' | 'exhaustKey' | 'syncRemaining'>
  take(wants: readonly Want[], id: () => number): Grants
  /** False when the grant is not one of its own. */
  settle(grant: Grant, cost: number): boolean
  cancel(grant: Grant): boolean
  /** The calls that still count, for the shared windows. */
  spent(): TakeRequest['replay']
  /** Its calls that are over and still count. */
  ended(): readonly EndedCall[]
  /** Its calls that are under way. */
  running(): readonly Grant[]
}

interface Spent {
  readonly grant: Grant
  readonly own: Grant
  cost: number
  settledAt: number | undefined
}

/** How soon to ask again for a call that is too large, in milliseconds. */
const RETRY = 250

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
      // A call that is too large for the share fits into the whole limit: it waits until the node is back, and delays no other.
      const fitting = wants.filter((want) => !tooLarge(limits, want))
      if (fitting.length === 0) return { granted: [], wait: RETRY }
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
        settledAt === undefined ? [] : [{ grant, cost, at: settledAt }],
      ),

    running: () => [...spent.values()].filter(({ settledAt }) => settledAt === undefined).map(({ grant }) => grant),
  }
}
