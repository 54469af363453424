import type { Clock } from '../clock.ts'
import { createGate, type Gate, type Ticket } from './gate.ts'

/** A breaker opens after this many failures that count, with no success between them. */
const FAILURES = 5

/** Where only such requests fail that never had an answer, one of them passes each time this is over, in milliseconds. */
const EACH = 1000

/** Requests that never had an answer are no evidence while anything succeeded within this time, in milliseconds. */
const QUIET = 10_000

/** A failed call, as far as a breaker has to know it. */
export interface Failure {
  /** Which request it was: one request is counted once. */
  readonly key: string
  readonly operation: string
  readonly client: string
  /** Whether the same request has an answer: it had one before, or another provider gave one. */
  readonly answerable: boolean
  /** No connection was made, so no request had a part in it. */
  readonly unreachable: boolean
}

/**
 * Keeps calls from what fails: a provider, or one operation of it. It believes what can't be a caller's doing:
 * - five connections in a row that were not made, or five different requests that are known to have an answer and fail now. It is
 *   then open for all;
 * - where nothing succeeded for a while, also five different requests that never had an answer, from more than one client. Of such
 *   requests one a second passes then, since clients cost nothing.
 *
 * Each kind of request has probes of its own, so that requests that always fail don't take those of the others.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'probing'
  /** Milliseconds until such a call may pass; 0 when it may pass now. */
  wait(answerable: boolean): number
  /** Whether it is open because the upstream asked to wait. */
  paused(answerable: boolean): boolean
  /** A call is about to be made; undefined when it may not. */
  enter(answerable: boolean, mayProbe?: boolean): Pass | undefined
  /** The upstream said when to come back: no such call passes before, or none at all. */
  pause(duration: number, who: 'all' | 'unanswered'): void
  /** Whether nothing succeeded for a while. */
  readonly quiet: boolean
}

/** Leave to make one call; one of these is to be called when it is over. */
export interface Pass {
  succeeded(): void
  failed(failure: Failure): void
  /** The call ended without evidence: it was given up, or refused for what it was. */
  left(): void
}

export interface BreakerParts {
  readonly clock: Clock
  /** Of how many operations such requests have to be: a provider is not judged by one of them. */
  readonly operations: number
  /** Whether nothing is known to have succeeded lately. */
  readonly quiet: boolean
  /** From 0 to 1; spreads probes of many nodes. */
  readonly random?: () => number
}

/** A key that is counted; only as many are kept as decide. */
class Distinct extends Set<string> {
  override add(value: string): this {
    return this.size < FAILURES ? super.add(value) : this
  }
}

export function createBreaker({ clock, operations: least, quiet, random = Math.random }: BreakerParts): Breaker {
  const known = createGate(clock, random)
  const unknown = createGate(clock, random)
  let lastSuccess = quiet ? Number.NEGATIVE_INFINITY : clock.monotonic()
  let unreached = 0
  /** When the next request passes that never had an answer; undefined while all do. */
  let nextUnknown: number | undefined
  /** Requests that had an answer, all, and what they are of. */
  const answerable = { keys: new Distinct(), operations: new Distinct() }
  const any = { keys: new Distinct(), operations: new Distinct() }
  const clients = new Distinct()

  function forget(): void {
    unreached = 0
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
    return keys.size >= FAILURES && operations.size >= least
  }

  function count(failure: Failure): void {
    if (failure.unreachable) unreached += 1
    else {
      clients.add(failure.client)
      for (const counted of failure.answerable ? [answerable, any] : [any]) {
        counted.keys.add(failure.key)
        counted.operations.add(failure.operation)
      }
    }
    if (unreached >= FAILURES || isEnough(answerable)) openAll()
    // What a node asks on its own behalf speaks for all who watch.
    else if (isEnough(any) && isQuiet() && (clients.size > 1 || clients.has('poller'))) {
      nextUnknown ??= clock.monotonic() + EACH
      forget()
    }
  }

  /** Whether it is the turn of a request that never had an answer; it is taken. */
  function takeTurn(mayProbe: boolean): boolean {
    if (nextUnknown === undefined) return true
    if (clock.monotonic() < nextUnknown || !mayProbe) return false
    nextUnknown = clock.monotonic() + EACH
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
    // A probe decides. What began before it opened and ends only now is old news.
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
    pause(duration, who) {
      if (who === 'all') known.open(duration)
      unknown.open(duration)
    },
  }
}
