import { LRUCache } from 'lru-cache'
import type { RequestHistory } from '../call.ts'
import type { Clock } from '../clock.ts'

/**
 * The share of the calls under way that is kept for requests with a known answer, such as those for watched values, while there was one within
 * this many milliseconds.
 */
const KNOWN = 0.2
const KNOWN_WITHIN = 60_000

/** The share of the calls under way that callers with hanging calls may have. */
const HANGING = 0.5

/** A call without an answer counts as hung if it ran this many times as long as answers take, and at least this many milliseconds. */
const HUNG = 3
const LEAST_HUNG = 250

/** How many callers with hanging calls are remembered, and for how many milliseconds. */
const MOST = 5000
const REMEMBERED = 30_000

/** `known`: not bounded. `unknown`: the request never had an answer. `hanging`: calls of its caller hang. */
export type Compartment = 'known' | 'unknown' | 'hanging'

/** What the bulkhead needs to know of a call. */
export interface Caller {
  readonly client: string
  readonly history?: RequestHistory
}

/** A place in a compartment. */
export interface Berth {
  /** Whether calls of its caller hang: it must share no call with others. */
  readonly hangs: boolean
  /** The call was answered: the place is free again. */
  answered(): void
  /** The call ended without an answer. */
  failed(): void
  /** The upstream can't be working on it any more. */
  gone(): void
}

/**
 * Bounds how many of an upstream's concurrent calls can be held by requests that may never be answered, so that watched values keep theirs.
 * A request that had an answer lately is not bounded. While there are such requests, the others leave one call of five free. Callers whose
 * calls hang share half of the calls under way, and a hung call of theirs holds its place for as long as it counts at the upstream.
 */
export interface Bulkhead {
  compartmentOf(caller: Caller): Compartment
  /** How many more may start. */
  room(compartment: Compartment): number
  enter(caller: Caller): Berth
}

/** @param usual how long answers take, in milliseconds */
export function createBulkhead(concurrency: number, clock: Clock, usual: () => number): Bulkhead {
  const most = {
    known: () => Number.POSITIVE_INFINITY,
    unknown: () =>
      clock.monotonic() - lastKnown < KNOWN_WITHIN ? concurrency - Math.floor(concurrency * KNOWN) : concurrency,
    hanging: () => Math.max(1, Math.floor(concurrency * HANGING)),
  }
  const held = { known: 0, unknown: 0, hanging: 0 }
  /** Callers with hanging calls, and until when they are remembered. */
  const hanging = new LRUCache<string, number>({ max: MOST })
  let lastAnswered = Number.NEGATIVE_INFINITY
  let lastKnown = Number.NEGATIVE_INFINITY

  function compartmentOf(caller: Caller): Compartment {
    const { history } = caller
    if (history === undefined || history.answerable) return 'known'
    return (hanging.peek(nameOf(caller, history)) ?? 0) > clock.monotonic() ? 'hanging' : 'unknown'
  }

  function note(caller: Caller, startedAt: number): void {
    const { history } = caller
    const took = clock.monotonic() - startedAt
    // If no call is answered, the upstream hangs, and no caller is to blame.
    if (history === undefined || history.answerable || lastAnswered < startedAt) return
    if (took < Math.max(LEAST_HUNG, HUNG * usual())) return
    hanging.set(nameOf(caller, history), clock.monotonic() + REMEMBERED)
  }

  return {
    compartmentOf,
    // Hanging calls are among those without a known answer.
    room: (compartment) => {
      const room = most[compartment]() - held[compartment]
      return compartment === 'hanging' ? Math.min(room, most.unknown() - held.unknown) : room
    },
    enter(caller) {
      const startedAt = clock.monotonic()
      const compartment = compartmentOf(caller)
      const hangs = compartment === 'hanging'
      if (caller.history?.answerable) lastKnown = startedAt
      if (compartment !== 'known') held.unknown += 1
      if (hangs) held.hanging += 1
      const over = () => {
        if (compartment !== 'known') held.unknown -= 1
      }
      return {
        hangs,
        answered() {
          lastAnswered = clock.monotonic()
          over()
          if (hangs) held.hanging -= 1
        },
        failed() {
          note(caller, startedAt)
          over()
        },
        gone() {
          if (hangs) held.hanging -= 1
        },
      }
    },
  }
}

/** A poller asks on behalf of many callers: each of its keys counts as a caller. */
function nameOf({ client }: Caller, { key }: RequestHistory): string {
  return client === 'poller' ? `${client} ${key}` : client
}
