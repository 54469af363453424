import { LRUCache } from 'lru-cache'
import type { RequestHistory } from '../call.ts'
import type { Clock } from '../clock.ts'

/**
 * This share of the calls under way is for requests that are known to have an answer, such as those for watched values, while there was one within so
 * many milliseconds.
 */
const KNOWN = 0.2
const KNOWN_WITHIN = 60_000

/** Calls of callers whose calls hang may be this share of those under way. */
const HANGING = 0.5

/** A call that ends without an answer hung when it ran for this many times as long as answers take, and for at least this long in milliseconds. */
const HUNG = 3
const LEAST_HUNG = 250

/** This many callers are remembered whose calls hang, for this long in milliseconds. */
const MOST = 5000
const REMEMBERED = 30_000

/** What a call is bounded by: nothing, that its answer is not known, or that calls of its caller hang. */
export type Compartment = 'known' | 'unknown' | 'hanging'

/** What the bulkhead has to know of a call. */
export interface Caller {
  readonly client: string
  readonly history?: RequestHistory
}

/** A place in a compartment. */
export interface Berth {
  /** Whether calls of its caller hang: it is to share no call with others. */
  readonly hangs: boolean
  /** It was answered; the place is free again. */
  answered(): void
  /** It ended without an answer. */
  failed(): void
  /** The upstream can't be working on it any more. */
  gone(): void
}

/**
 * Bounds how many of an upstream's concurrent calls can be held by requests that may never be answered, so that watched values keep theirs. A
 * request that had an answer lately is bound by nothing. Where there are such requests, the others leave one call of five free. Those of a caller whose calls hang share
 * half of the calls under way, and a call of theirs that hung holds its place for as long as it counts at the upstream.
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
  /** Callers whose calls hang, and until when that is remembered. */
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
    // Where no call is answered it is the upstream that hangs, and no caller is to blame.
    if (history === undefined || history.answerable || lastAnswered < startedAt) return
    if (took < Math.max(LEAST_HUNG, HUNG * usual())) return
    hanging.set(nameOf(caller, history), clock.monotonic() + REMEMBERED)
  }

  return {
    compartmentOf,
    // Calls that hang are among those without a known answer.
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

/** A poller asks on behalf of many: each of its requests is of another. */
function nameOf({ client }: Caller, { key }: RequestHistory): string {
  return client === 'poller' ? `${client} ${key}` : client
}
