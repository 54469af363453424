import type { Clock } from '../../clock.ts'
import type { Remaining } from '../../rate-limit-signal.ts'
import { type Grant, type Meter, type MeterLimit, type MeterPlan, type Meters, SPENT_FOR, type Want } from '../ports.ts'
import { openWindow, type Window } from './window.ts'

/**
 * How long after a process died its last calls may still arrive at the upstream, in milliseconds. A new process waits this much longer than
 * the window before it trusts that the past is over.
 */
export const LAST_ARRIVALS = 250

/** Windows longer than this are not waited for at start: one call at a time asks the upstream what is left. Milliseconds. */
export const LONG = 5000

/** How soon to ask again while such a call is under way, in milliseconds. */
const PROBE = 100

/** A refusal leaves this share of the limits, and never less than the least. In each window, `creep` of the whole comes back. */
export const BACK_OFF = { keep: 0.7, creep: 0.05, least: 0.1 } as const

/** How many lanes are remembered. Those that count nothing are forgotten first. */
const LANES = 1000

/** Exact sliding windows in one process. */
export function memoryMeters(clock: Clock): Meters {
  const meters = new Map<string, Meter>()
  return {
    open(upstream, plan) {
      const known = meters.get(upstream)
      if (known !== undefined) return known
      const meter = memoryMeter(clock, plan)
      meters.set(upstream, meter)
      return meter
    },
  }
}

interface Key {
  readonly windows: readonly Window[]
  readonly lanes: Lanes
  closedUntil: number
  /** Until when the key is used up; undefined if it is not. */
  spentUntil: number | undefined
  /** The call that tries the key again. */
  probe: number | undefined
}

export function memoryMeter(clock: Clock, plan: MeterPlan): Meter {
  const { spentFor = SPENT_FOR } = plan
  const pace = plan.pace === true
  const of = (by: MeterLimit['by']) => plan.limits.filter((limit) => limit.by === by)
  const shared = whole(of('account')).map((limit) => openWindow(limit, pace))
  const sharedLanes = new Lanes(of('account'), pace)
  const keys: readonly Key[] = Array.from({ length: plan.keys }, () => ({
    windows: [...shared, ...whole(of('key')).map((limit) => openWindow(limit, pace))],
    lanes: new Lanes(of('key'), pace),
    closedUntil: Number.NEGATIVE_INFINITY,
    spentUntil: undefined,
    probe: undefined,
  }))
  const longest = Math.max(0, ...plan.limits.map(({ window }) => window))
  /** The time between back-offs, and of each step of recovery. By a window of a day, the limits would recover too slowly. */
  const shortest = Math.max(1, Math.min(...plan.limits.map(({ window }) => window)))
  const windowsOf = [...whole(of('account')), ...whole(of('key'))]
  const synced = syncedLimits(plan.limits)

  const begun = clock.monotonic()
  const shut = Math.max(0, ...plan.limits.map(({ window }) => window).filter((window) => window <= LONG))
  const lanesClosedUntil = new Map<string, number>()
  let closedUntil = plan.pastUsage === 'unknown' && shut > 0 ? begun + shut + LAST_ARRIVALS : 0
  /** Until then one call at a time is granted, since what is left of the long windows is unknown. */
  let probingUntil = plan.pastUsage === 'unknown' && longest > LONG ? begun + longest + LAST_ARRIVALS : 0
  let running = 0
  let slowed = { at: Number.NEGATIVE_INFINITY, share: 1 }
  let lastId = 0
  let turn = 0

  function share(now: number): number {
    return slowed.share === 1 ? 1 : Math.min(1, slowed.share + (BACK_OFF.creep * (now - slowed.at)) / shortest)
  }

  /** The windows of this lane alone. */
  function apart(key: Key, lane: string, now: number): readonly Window[] {
    return sharedLanes.none && key.lanes.none ? [] : [...sharedLanes.of(lane, now), ...key.lanes.of(lane, now)]
  }

  function all(key: Key, lane: string): readonly Window[] {
    const windows = apart(key, lane, clock.monotonic())
    return windows.length === 0 ? key.windows : [...key.windows, ...windows]
  }

  /** The earliest moment for this want with this key, and whether only its lane holds it up. */
  function earliest(key: Key, { cost, lane = '' }: Want, now: number): { at: number; byLane: boolean } {
    let at = Math.max(now, closedUntil, key.closedUntil)
    if (now < probingUntil && running > 0) at = Math.max(at, now + PROBE)
    const of = share(now)
    for (const window of key.windows) at = Math.max(at, window.earliest(window.units(cost), now, of))
    let laneAt = Math.max(now, lanesClosedUntil.get(lane) ?? now)
    for (const window of apart(key, lane, now)) laneAt = Math.max(laneAt, window.earliest(window.units(cost), now, of))
    return { at: Math.max(at, laneAt), byLane: at <= now && laneAt > now }
  }

  function choose(want: Want, now: number): { index: number; at: number; byLane: boolean } {
    let best = { index: -1, at: Number.POSITIVE_INFINITY, byLane: false }
    // Keys take turns, so that all are used equally.
    for (let i = 0; i < keys.length; i++) {
      const index = (turn + i) % keys.length
      const key = keys[index]
      if (key === undefined || (key.spentUntil ?? now) > now) continue
      const { at, byLane } = earliest(key, want, now)
      if (best.index === -1 || at < best.at) best = { index, at, byLane }
      if (at <= now) break
    }
    return best
  }

  return {
    acquire(wants) {
      const now = clock.monotonic()
      const granted: Grant[] = []
      const held = new Set<string>()
      let wait: number | undefined
      for (const want of wants) {
        const { cost, lane = '' } = want
        if (tooLarge(plan.limits, want)) return { granted, wait, never: 'too large' }
        if (held.size > 0 && held.has(lane)) continue
        const { index, at, byLane } = choose(want, now)
        const key = keys[index]
        if (key === undefined) return { granted, wait, never: 'exhausted' }
        if (at > now) {
          if (at !== Number.POSITIVE_INFINITY) wait = Math.min(wait ?? at - now, at - now)
          if (!byLane) break
          held.add(lane)
          continue
        }
        for (const window of all(key, lane)) window.use(window.units(cost), now)
        turn = (index + 1) % keys.length
        running += 1
        lastId += 1
        if (key.spentUntil !== undefined) Object.assign(key, { spentUntil: now + spentFor, probe: lastId })
        granted.push({ id: lastId, key: index, cost, lane, notBefore: now, expiresAt: Number.POSITIVE_INFINITY })
      }
      return { granted, wait }
    },

    release({ id, key: index, cost, lane }, truth = cost) {
      const key = keys[index]
      if (key === undefined) return
      running -= 1
      // If the key were still used up, `exhaustKey` would have been called by now.
      if (key.probe === id) Object.assign(key, { spentUntil: undefined, probe: undefined })
      const now = clock.monotonic()
      for (const window of all(key, lane)) window.freeLater(window.units(cost), window.units(truth), now)
    },

    cancel({ id, key: index, cost, lane }) {
      const key = keys[index]
      if (key === undefined) return
      running -= 1
      if (key.probe === id) Object.assign(key, { spentUntil: clock.monotonic(), probe: undefined })
      for (const window of all(key, lane)) window.free(window.units(cost))
    },

    pause(duration, index) {
      const until = clock.monotonic() + duration
      const key = index === undefined ? undefined : keys[index]
      if (key === undefined) closedUntil = Math.max(closedUntil, until)
      else key.closedUntil = Math.max(key.closedUntil, until)
    },

    pauseLane(duration, lane) {
      const now = clock.monotonic()
      for (const [other, until] of lanesClosedUntil) if (until <= now) lanesClosedUntil.delete(other)
      lanesClosedUntil.set(lane, Math.max(now + duration, lanesClosedUntil.get(lane) ?? now))
    },

    backOff() {
      const now = clock.monotonic()
      // Refusals that come together count as one.
      if (now - slowed.at < shortest) return
      slowed = { at: now, share: Math.max(BACK_OFF.least, share(now) * BACK_OFF.keep) }
    },

    exhaustKey(index, duration = spentFor) {
      const key = keys[index]
      if (key !== undefined) Object.assign(key, { spentUntil: clock.monotonic() + duration, probe: undefined })
    },

    syncRemaining(remaining, index) {
      const now = clock.monotonic()
      const left = remainingOf(plan.limits, remaining)
      keys[index]?.windows.forEach((window, i) => {
        const limit = windowsOf[i]
        const units = limit !== undefined && synced.has(limit) ? left[countedBy(limit)] : undefined
        if (units !== undefined) window.sync(units, now)
      })
      probingUntil = 0
    },
  }
}

/** What a limit counts. */
export function countedBy({ counts = 'cost' }: MeterLimit): keyof Remaining {
  return counts
}

/** The limits that an upstream means when it says what is left: of those that count every call, the longest of each kind. */
export function syncedLimits(limits: readonly MeterLimit[]): ReadonlySet<MeterLimit> {
  const kinds = Map.groupBy(whole(limits), countedBy)
  return new Set([...kinds.values()].flatMap(longestOf))
}

function longestOf(limits: readonly MeterLimit[]): readonly MeterLimit[] {
  const longest = Math.max(...limits.map(({ window }) => window))
  return limits.filter(({ window }) => window === longest)
}

/** What is left, by what these limits count: where none counts calls, an upstream that says how many are left means costs. */
export function remainingOf(limits: readonly MeterLimit[], { calls, cost }: Remaining): Remaining {
  return whole(limits).some((limit) => countedBy(limit) === 'calls') ? { calls, cost } : { cost: cost ?? calls }
}

/** Whether it does not fit even into the empty windows of its lane. */
export function tooLarge(limits: readonly MeterLimit[], { cost, lane = '' }: Want): boolean {
  return limits.some(
    ({ limit, counts, lane: counted = lane }) =>
      (counted === '*' || counted === lane) && (counts === 'calls' ? 1 : cost) > limit,
  )
}

/** The limits that count every call. */
function whole(limits: readonly MeterLimit[]): readonly MeterLimit[] {
  return limits.filter(({ lane }) => lane === undefined)
}

/** Windows of lanes, made as lanes are met. */
class Lanes {
  readonly none: boolean
  readonly #limits: readonly MeterLimit[]
  readonly #pace: boolean
  readonly #windows = new Map<string, readonly Window[]>()

  constructor(limits: readonly MeterLimit[], pace: boolean) {
    this.#limits = limits.filter(({ lane }) => lane !== undefined)
    this.#pace = pace
    this.none = this.#limits.length === 0
  }

  of(lane: string, now: number): readonly Window[] {
    if (this.none) return []
    const known = this.#windows.get(lane)
    if (known !== undefined) return known
    if (this.#windows.size >= LANES) this.#forget(now)
    const windows = this.#limits
      .filter((limit) => limit.lane === '*' || limit.lane === lane)
      .map((limit) => openWindow(limit, this.#pace))
    this.#windows.set(lane, windows)
    return windows
  }

  #forget(now: number): void {
    for (const [lane, windows] of this.#windows)
      if (windows.every((window) => window.idle(now))) this.#windows.delete(lane)
  }
}
