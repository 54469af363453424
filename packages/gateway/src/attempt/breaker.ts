import type { Clock } from '../clock.ts'
import { createGate, type Gate, type Ticket } from './gate.ts'

/** A breaker opens after this many failures without a success in between. */
const FAILURES = 5

/** While limited, one request without a known answer passes per this interval, in milliseconds. */
const TURN_INTERVAL = 1000

/** Failures of requests without a known answer do not count if anything succeeded within this time, in milliseconds. */
const QUIET = 10_000

/** A failed call, as a breaker sees it. */
export interface Failure {
  /** The request: each is counted once. */
  readonly key: string
  readonly operation: string
  readonly client: string
  /** Whether the request is known to have an answer: it had one before, or another provider gave one. */
  readonly answerable: boolean
  /** No connection was made, so the request cannot be the cause. */
  readonly unreachable: boolean
}

/**
 * Blocks calls to a failing provider, or to one of its operations. Only failures that no caller can cause count:
 * - Five failed connections in a row, or failures of five different requests that are known to have an answer, open it
 * for all.
 * - If nothing succeeded for a while, failures of five different requests without a known answer, from more than one
 * client, limit such requests to one a second. They are not blocked, since anyone can create clients.
 *
 * Both kinds of request have separate probes, so requests that always fail cannot use up the probes of the others.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'probing'
  /** Milliseconds until a call of this kind may pass; 0 if it may pass now. */
  wait(answerable: boolean): number
  /** Whether it is open because the upstream asked to wait. */
  paused(answerable: boolean): boolean
  /** Admits a call; undefined if it is blocked. */
  enter(answerable: boolean, mayProbe?: boolean): Pass | undefined
  /** Blocks calls for as long as the upstream asked: all calls, or only those without a known answer. */
  pause(duration: number, which: 'all' | 'unanswered'): void
  /** Whether nothing succeeded for a while. */
  readonly quiet: boolean
}

/** Permission for one call. Exactly one of its methods is called when the call ends. */
export interface Pass {
  succeeded(): void
  failed(failure: Failure): void
  /** The call ended without evidence: it was abandoned, or refused because of its content. */
  left(): void
}

export interface BreakerParts {
  readonly clock: Clock
  /** The number of different operations that must fail: one operation alone does not condemn a provider. */
  readonly operations: number
  /** Whether the breaker starts as quiet: without a recent success. */
  readonly quiet: boolean
  /** A random number from 0 to 1, to spread the probes of many nodes. */
  readonly random?: () => number
}

/** Distinct keys; keeps only as many as the decision needs. */
class Distinct extends Set<string> {
  override add(value: string): this {
    return this.size < FAILURES ? super.add(value) : this
  }
}

export function createBreaker({
  clock,
  operations: minOperations,
  quiet,
  random = Math.random,
}: BreakerParts): Breaker {
  const known = createGate(clock, random)
  const unknown = createGate(clock, random)
  let lastSuccess = quiet ? Number.NEGATIVE_INFINITY : clock.monotonic()
  let unreachable = 0
  /** When the next request without a known answer passes; undefined while all pass. */
  let nextUnknown: number | undefined
  /** Failed requests and their operations: those known to have an answer, and all. */
  const answerable = { keys: new Distinct(), operations: new Distinct() }
  const any = { keys: new Distinct(), operations: new Distinct() }
  const clients = new Distinct()

  function forget(): void {
    unreachable = 0
    clients.clear()
    for (const { keys, operations } of [answerable, any]) {
      keys.clear()
      operations.clear()
    }
  }

  function openAll(): void {
    known.open()
    unknown.open()
    forget()
  }

  function isQuiet(): boolean {
    return clock.monotonic() - lastSuccess >= QUIET
  }

  function isEnough({ keys, operations }: typeof any): boolean {
    return keys.size >= FAILURES && operations.size >= minOperations
  }

  function count(failure: Failure): void {
    if (failure.unreachable) unreachable += 1
    else {
      clients.add(failure.client)
      for (const counted of failure.answerable ? [answerable, any] : [any]) {
        counted.keys.add(failure.key)
        counted.operations.add(failure.operation)
      }
    }
    if (unreachable >= FAILURES || isEnough(answerable)) openAll()
    // The poller's calls stand for many subscribers.
    else if (isEnough(any) && isQuiet() && (clients.size > 1 || clients.has('poller'))) {
      nextUnknown ??= clock.monotonic() + TURN_INTERVAL
      forget()
    }
  }

  /** Takes the turn of a request without a known answer, if it is due. */
  function takeTurn(mayProbe: boolean): boolean {
    if (nextUnknown === undefined) return true
    if (clock.monotonic() < nextUnknown || !mayProbe) return false
    nextUnknown = clock.monotonic() + TURN_INTERVAL
    return true
  }

  function succeeded(gate: Gate, ticket: Ticket): void {
    lastSuccess = clock.monotonic()
    nextUnknown = undefined
    forget()
    if (gate.state === 'closed') unknown.close()
    else if (gate.probed(ticket, true) === 'closed') {
      known.close()
      unknown.close()
    }
  }

  function failed(gate: Gate, ticket: Ticket, failure: Failure): void {
    // Only probes count now. A call that began before the breaker opened is outdated.
    if (gate.state === 'closed') count(failure)
    else if (gate.probed(ticket, false) === 'opened' && failure.unreachable) {
      if (gate === unknown) known.open()
      else unknown.open()
    }
  }

  return {
    get state() {
      const { state } = known.state === 'closed' ? unknown : known
      return state === 'closed' && nextUnknown !== undefined ? 'probing' : state
    },
    get quiet() {
      return isQuiet()
    },
    wait(answerable) {
      if (answerable) return known.wait
      return Math.max(unknown.wait, (nextUnknown ?? 0) - clock.monotonic())
    },
    paused: (answerable) => (answerable ? known : unknown).paused,
    enter(answerable, mayProbe = true) {
      const gate = answerable ? known : unknown
      const turns = !answerable && nextUnknown !== undefined
      if (!answerable && gate.state === 'closed' && !takeTurn(mayProbe)) return undefined
      const ticket = gate.enter(mayProbe)
      if (ticket === undefined) return undefined
      return {
        succeeded: () => succeeded(gate, ticket),
        failed: (failure) => failed(gate, ticket, failure),
        left() {
          gate.left(ticket)
          if (turns && nextUnknown !== undefined) nextUnknown = clock.monotonic()
        },
      }
    },
    pause(duration, which) {
      if (which === 'all') known.open(duration)
      unknown.open(duration)
    },
  }
}
