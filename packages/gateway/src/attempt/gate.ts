import type { Clock } from '../clock.ts'

/**
 * How long a gate stays open at first, and at most, in milliseconds. The time doubles with each failed probe. A probe
 * is one call: one in five seconds harms no upstream, and subscribers see a recovery that soon.
 */
const OPEN_AT_FIRST = 1000
const OPEN_AT_MOST = 5000

/** Successful probes in a row that close the gate. */
const PROBES = 2

/** Identifies one admitted call. */
export type Ticket = object

/** `closed`: all calls pass. `open`: none pass for a while. `probing`: one at a time passes, and its outcome decides. */
export interface Gate {
  readonly state: 'closed' | 'open' | 'probing'
  /** Milliseconds until a probe may pass; 0 if a call may pass now. */
  readonly wait: number
  /** Whether it is open because the upstream asked to wait. */
  readonly paused: boolean
  /**
   * Admits a call; undefined if it is blocked.
   *
   * @param mayProbe whether its outcome would mean anything
   */
  enter(mayProbe: boolean): Ticket | undefined
  /** Opens the gate for the next backoff time, or for `duration` milliseconds. */
  open(duration?: number): void
  close(): void
  /** Reports the outcome of a call. Returns undefined if it was no probe, or decides nothing yet. */
  probed(ticket: Ticket, good: boolean): 'closed' | 'opened' | undefined
  /** The call ended without an outcome, so another may become the probe. */
  left(ticket: Ticket): void
}

/** @param random from 0 to 1, to spread the probes of many nodes */
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
