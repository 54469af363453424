import type { Clock } from '../clock.ts'

/**
 * How long it stays open at first, and at most, in milliseconds. It doubles with each probe that fails. A probe is one call:
 * one in five seconds harms no upstream, and those who watch a value see it move again that soon.
 */
const OPEN_AT_FIRST = 1000
const OPEN_AT_MOST = 5000

/** This many probes in a row must succeed before all are let through again. */
const PROBES = 2

/** One call's leave to pass. */
export type Ticket = object

/** `closed`: all pass. `open`: none pass, for a while. `probing`: one at a time passes, and its outcome decides. */
export interface Gate {
  readonly state: 'closed' | 'open' | 'probing'
  /** Milliseconds until a probe may pass; 0 when a call may pass now. */
  readonly wait: number
  /** Whether it is open for as long as the upstream asked. */
  readonly paused: boolean
  /** Undefined when the call may not pass. `mayProbe`: whether its outcome would say anything. */
  enter(mayProbe: boolean): Ticket | undefined
  /** For the time that is its turn, or for as long as is said. */
  open(duration?: number): void
  close(): void
  /** The outcome of a call; undefined when it was no probe, or decides nothing yet. */
  probed(ticket: Ticket, good: boolean): 'closed' | 'opened' | undefined
  /** The call ended without an outcome: another may be the probe. */
  left(ticket: Ticket): void
}

/** @param random from 0 to 1; spreads probes of many nodes */
export function createGate(clock: Clock, random: () => number): Gate {
  let state: Gate['state'] = 'closed'
  let opensFor = OPEN_AT_FIRST
  let until = 0
  let pausedUntil = 0
  let probes = 0
  let probe: Ticket | undefined

  function open(duration?: number): void {
    state = 'open'
    until = Math.max(until, clock.monotonic() + (duration ?? opensFor * (0.8 + 0.4 * random())))
    if (duration !== undefined) pausedUntil = until
    if (duration === undefined) opensFor = Math.min(OPEN_AT_MOST, opensFor * 2)
    probe = undefined
    probes = 0
  }

  function close(): void {
    state = 'closed'
    opensFor = OPEN_AT_FIRST
    until = 0
    probe = undefined
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
    get paused() {
      return state === 'open' && pausedUntil > clock.monotonic()
    },
    enter(mayProbe) {
      const ticket: Ticket = {}
      if (state === 'closed') return ticket
      if (clock.monotonic() < until || probe !== undefined || !mayProbe) return undefined
      state = 'probing'
      probe = ticket
      return ticket
    },
    open,
    close,
    probed(ticket, good) {
      if (ticket !== probe) return undefined
      probe = undefined
      if (!good) {
        open()
        return 'opened'
      }
      probes += 1
      if (probes < PROBES) return undefined
      close()
      return 'closed'
    },
    left(ticket) {
      if (ticket === probe) probe = undefined
    },
  }
}
