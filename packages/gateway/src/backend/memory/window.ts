import type { MeterLimit } from '../ports.ts'

/**
 * Paced starts come at this part of the distance of an even spread. Otherwise places that come free together, after a stall, could never be
 * made up for.
 */
export const CATCHING_UP = 0.8

/** One sliding window: the calls under way, and those that ended less than a window ago. */
export interface Window {
  readonly limit: number
  /** The units that a call of this cost takes. */
  units(cost: number): number
  /** The earliest moment at which `units` fit; Infinity if only the end of a call can tell. `share`: the part of the limit in use. */
  earliest(units: number, now: number, share: number): number
  use(units: number, now: number): void
  /** `units` come free one window from now. A call that cost more than expected takes the difference until then. */
  freeLater(taken: number, units: number, now: number): void
  free(units: number): void
  /** The upstream says that this many units are left: others spent what is missing. */
  sync(left: number, now: number): void
  /** Whether nothing is counted. */
  idle(now: number): boolean
}

/**
 * Calls end in the order of time, so places come free in the order in which they were queued: no sorting, and constant work
 * a call.
 */
export function openWindow({ limit, window, counts }: MeterLimit, pace: boolean): Window {
  let used = 0
  let others = 0
  let othersUntil = 0
  let most = limit
  let nextStart = Number.NEGATIVE_INFINITY
  let freeing: { at: number; units: number }[] = []
  let head = 0

  function collect(now: number): void {
    for (let next = freeing[head]; next !== undefined && next.at <= now; next = freeing[head]) {
      used -= next.units
      head += 1
    }
    if (head > 1024 && head * 2 > freeing.length) {
      freeing = freeing.slice(head)
      head = 0
    }
    if (others > 0 && othersUntil <= now) others = 0
  }

  /** When `units` fit, given what is known to come free. */
  function fits(units: number, now: number): number {
    // A call larger than a shrunken limit still fits into an empty window: otherwise it would wait for ever.
    const room = Math.max(most, Math.min(units, limit))
    let left = used + others
    if (left + units <= room) return now
    let theirs = others
    for (let i = head; i < freeing.length; i++) {
      const next = freeing[i]
      if (next === undefined) break
      if (theirs > 0 && othersUntil <= next.at) {
        left -= theirs
        theirs = 0
        if (left + units <= room) return othersUntil
      }
      left -= next.units
      if (left + units <= room) return next.at
    }
    return theirs > 0 && left - theirs + units <= room ? othersUntil : Number.POSITIVE_INFINITY
  }

  return {
    limit,
    units: (cost) => (counts === 'calls' ? 1 : cost),
    earliest(units, now, share) {
      collect(now)
      most = Math.max(1, Math.floor(limit * share))
      const at = fits(units, now)
      return pace ? Math.max(at, nextStart) : at
    },
    use(units, now) {
      used += units
      if (!pace) return
      // Timers fire late. The next start comes sooner, or the rate would stay below the limit.
      const apart = (CATCHING_UP * window * units) / most
      nextStart = Math.max(nextStart, now - apart) + apart
    },
    freeLater(taken, units, now) {
      used += units - taken
      freeing.push({ at: now + window, units })
    },
    free(units) {
      used -= units
    },
    sync(left, now) {
      collect(now)
      others = Math.max(0, limit - left - used)
      othersUntil = now + window
    },
    idle(now) {
      collect(now)
      return used === 0 && others === 0
    },
  }
}
