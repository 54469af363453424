import type { Clock } from '../clock.ts'

/** So many failures in a row open it, */
const IN_A_ROW = 5

/** or half of so many late calls. */
const LATE_CALLS = 20

/**
 * How long it stays open at first, and at most, in milliseconds. It doubles with each probe that fails. A probe is one call:
 * one in five seconds harms no upstream, and those who watch a value see it move again that soon.
 */
const OPEN_AT_FIRST = 1000
const OPEN_AT_MOST = 5000

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
  /** A call is about to be made; undefined when it may not. */
  enter(): Pass | undefined
}

/** Leave to make one call; one of these is to be told when it is over. */
export interface Pass {
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
  let probe: Pass | undefined
  const late: boolean[] = []

  function open(): void {
    state = 'open'
    until = clock.monotonic() + opensFor * (0.8 + 0.4 * random())
    opensFor = Math.min(OPEN_AT_MOST, opensFor * 2)
    probe = undefined
    probes = 0
    row = 0
    late.length = 0
  }

  function close(): void {
    state = 'closed'
    opensFor = OPEN_AT_FIRST
  }

  function note(good: boolean): void {
    late.push(good)
    if (late.length > LATE_CALLS) late.shift()
    row = good ? 0 : row + 1
    const failures = late.filter((good) => !good).length
    if (row >= IN_A_ROW || (late.length === LATE_CALLS && failures * 2 >= LATE_CALLS)) open()
  }

  /** A probe decides; what began before it opened, and ends only now, is old news. */
  function ended(pass: Pass, good: boolean | undefined): void {
    if (state === 'closed' && good !== undefined) note(good)
    if (pass !== probe) return
    probe = undefined
    if (good === undefined) return
    probes += 1
    if (!good) open()
    else if (probes === PROBES) close()
  }

  return {
    get state() {
      return state
    },
    get wait() {
      if (state === 'closed') return 0
      if (state === 'open') return Math.max(0, until - clock.monotonic())
      return probe === undefined ? 0 : 1
    },
    enter() {
      if (state === 'open' && clock.monotonic() < until) return undefined
      if (probe !== undefined) return undefined
      const pass: Pass = {
        succeeded: () => ended(pass, true),
        failed: () => ended(pass, false),
        left: () => ended(pass, undefined),
      }
      if (state !== 'closed') {
        state = 'probing'
        probe = pass
      }
      return pass
    },
  }
}
