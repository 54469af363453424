import type { Clock } from '../../clock.ts'
import type { Grant, Meter, MeterLimit, MeterPlan, Meters } from '../ports.ts'

/**
 * How long after its death a process's last calls may still arrive at the upstream; a new process waits this long beyond
 * the window before it trusts that the past is over.
 */
const LAST_ARRIVALS = 250

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

function memoryMeter(clock: Clock, plan: MeterPlan): Meter {
  const shared = plan.limits.filter((limit) => limit.by === 'account').map(openWindow)
  const keys = Array.from({ length: plan.keys }, () => ({
    windows: [...shared, ...plan.limits.filter((limit) => limit.by === 'key').map(openWindow)],
    closedUntil: Number.NEGATIVE_INFINITY,
  }))
  const longest = Math.max(0, ...plan.limits.map((limit) => limit.window))
  let closedUntil = plan.past === 'unknown' && longest > 0 ? clock.monotonic() + longest + LAST_ARRIVALS : 0
  let lastId = 0
  let turn = 0

  /** The earliest moment at which this key can start a call; Infinity when only the end of a call can tell. */
  function earliest(key: (typeof keys)[number], cost: number, now: number): number {
    let at = Math.max(now, closedUntil, key.closedUntil)
    for (const window of key.windows) at = Math.max(at, window.earliest(cost, now))
    return at
  }

  return {
    take(wants) {
      const now = clock.monotonic()
      const granted: Grant[] = []
      for (const { cost } of wants) {
        let best = Number.POSITIVE_INFINITY
        let chosen = 0
        // Keys take turns, so that none is worn while others rest.
        for (let i = 0; i < keys.length; i++) {
          const index = (turn + i) % keys.length
          const key = keys[index]
          if (key === undefined) continue
          const at = earliest(key, cost, now)
          if (at < best) {
            best = at
            chosen = index
          }
          if (at <= now) break
        }
        if (best > now) return { granted, wait: best === Number.POSITIVE_INFINITY ? undefined : best - now }
        for (const window of keys[chosen]?.windows ?? []) window.use(cost)
        turn = (chosen + 1) % keys.length
        lastId += 1
        granted.push({ id: lastId, key: chosen, cost })
      }
      return { granted, wait: undefined }
    },

    settle({ key, cost }) {
      const now = clock.monotonic()
      for (const window of keys[key]?.windows ?? []) window.freeLater(cost, now)
    },

    cancel({ key, cost }) {
      for (const window of keys[key]?.windows ?? []) window.free(cost)
    },

    close(duration, key) {
      const until = clock.monotonic() + duration
      const closed = key === undefined ? undefined : keys[key]
      if (closed === undefined) closedUntil = Math.max(closedUntil, until)
      else closed.closedUntil = Math.max(closed.closedUntil, until)
    },
  }
}

interface Window {
  earliest(cost: number, now: number): number
  use(cost: number): void
  /** Its places come free one window from now. */
  freeLater(cost: number, now: number): void
  free(cost: number): void
}

/**
 * A window counts what is under way and what was answered less than a window ago. Answers come in the order of time, so
 * places come free in the order in which they were queued: no sorting, and constant work a call.
 */
function openWindow({ limit, window }: MeterLimit): Window {
  let used = 0
  let freeing: { at: number; cost: number }[] = []
  let head = 0

  function collect(now: number): void {
    for (let next = freeing[head]; next !== undefined && next.at <= now; next = freeing[head]) {
      used -= next.cost
      head += 1
    }
    if (head > 1024 && head * 2 > freeing.length) {
      freeing = freeing.slice(head)
      head = 0
    }
  }

  return {
    earliest(cost, now) {
      collect(now)
      let left = used
      if (left + cost <= limit) return now
      for (let i = head; i < freeing.length; i++) {
        const next = freeing[i]
        if (next === undefined) break
        left -= next.cost
        if (left + cost <= limit) return next.at
      }
      return Number.POSITIVE_INFINITY
    },
    use(cost) {
      used += cost
    },
    freeLater(cost, now) {
      freeing.push({ at: now + window, cost })
    },
    free(cost) {
      used -= cost
    },
  }
}
