import type { Clock } from '../clock.ts'

/** So many failures in a row open it, */
const IN_A_ROW = 5

/** or half of so many late calls. */
const LATE_CALLS = 20

/** How long it stays open at first, and at most, in milliseconds. It doubles with each probe that fails. */
const OPEN_AT_FIRST = 1000
const OPEN_AT_MOST = 30_000

/** So many probes in a row must succeed before all are let through again. */
const PROBES = 2

/**
 * Keeps calls from a provider that fails. `closed`: all pass. `open`: none pass, for a while. `probing`: one at a time passes,
 * and what becomes of it decides.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'probing'
  /** Milliseconds until a probe may pass; 0 when a call may pass now. */
  readonly wait: number
  /** A call is about to be made; false when it may not. */
  enter(): boolean
  succeeded(): void
  failed(): void
  /** The call ended without news of the provider: it was given up. */
  left(): void
}

/** @param random from 0 to 1; spreads probes of many nodes */
export function createBreaker(clock: Clock, random: () => number = Math.random): Breaker {
  let state: Breaker['state'] = 'closed'
  let opensFor = OPEN_AT_FIRST
  let until = 0
  let row = 0
  let probes = 0
  let probing = false
  const late: boolean[] = []

  function open(): void {
    state = 'open'
    until = clock.monotonic() + opensFor * (0.8 + 0.4 * random())
    opensFor = Math.min(OPEN_AT_MOST, opensFor * 2)
    probing = false
    probes = 0
    late.length = 0
  }

  function note(good: boolean): void {
    late.push(good)
    if (late.length > LATE_CALLS) late.shift()
    row = good ? 0 : row + 1
  }

  return {
    get state() {
      return state
    },
    get wait() {
      if (state === 'closed') return 0
      if (state === 'open') return Math.max(0, until - clock.monotonic())
      return probing ? Math.max(1, until - clock.monotonic()) : 0
    },
    enter() {
      if (state === 'closed') return true
      if (state === 'open' && clock.monotonic() < until) return false
      if (probing) return false
      state = 'probing'
      probing = true
      return true
    },
    succeeded() {
      note(true)
      if (state !== 'probing') return
      probing = false
      probes += 1
      if (probes < PROBES) return
      state = 'closed'
      opensFor = OPEN_AT_FIRST
    },
    failed() {
      note(false)
      if (state === 'probing') return open()
      const failures = late.filter((good) => !good).length
      if (state === 'closed' && (row >= IN_A_ROW || (late.length === LATE_CALLS && failures * 2 >= LATE_CALLS))) open()
    },
    left() {
      probing = false
    },
  }
}
