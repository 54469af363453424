import { type Ask, Urgency } from '../call.ts'
import type { Clock } from '../clock.ts'
import { addressOf } from '../entry.ts'
import { type ErrorCode, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

export interface SingleFlightParts<Answer> {
  readonly feed: string
  readonly clock: Clock
  readonly emit: Emit
  /** Makes the call. `signal` is aborted when no waiter is left. */
  start(ask: Ask, signal: AbortSignal, urgency: Urgency): Promise<Answer>
}

interface Flight<Answer> {
  readonly controller: AbortController
  readonly urgency: Urgency
  readonly answer: Promise<Answer>
  /** The deadline of the first waiter. The call ends by then. */
  readonly deadline: number
  /** The latest deadline among the waiters. */
  latest: number
  waiters: number
}

/** A waiter with less extra time than this does not start another call, in milliseconds. */
const NEGLIGIBLE = 100

/** Errors of a call that ran out of time. */
const OUT_OF_TIME: readonly ErrorCode[] = ['over_budget', 'upstream_timeout']

/**
 * One call for all waiters of a topic. Waiters are counted: one that leaves fails no other, and the last one aborts the
 * call. Each waiter keeps its own deadline. One with less time than the call leaves before it ends. One with more time
 * joins another call if the first fails for lack of time.
 *
 * Waiters without a signal get the same promise. The cache depends on this: with a promise each, a herd of thousands
 * would be slow.
 */
export function singleFlight<Answer>({
  feed,
  clock,
  emit,
  start,
}: SingleFlightParts<Answer>): (ask: Ask) => Promise<Answer> {
  const flights = new Map<string, Flight<Answer>>()

  function join(ask: Ask): Flight<Answer> {
    const known = flights.get(ask.topic)
    if (known !== undefined) {
      known.urgency.raise(ask.priority)
      known.latest = Math.max(known.latest, ask.deadline)
      return known
    }
    const controller = new AbortController()
    const urgency = new Urgency(ask.priority)
    const answer = start(ask, controller.signal, urgency).finally(() => {
      if (flights.get(ask.topic) === started) flights.delete(ask.topic)
    })
    // Each waiter gets the failure through its own promise. Without a waiter, the rejection must not end the process.
    answer.catch(() => {})
    const { deadline } = ask
    const started: Flight<Answer> = { controller, urgency, answer, deadline, latest: deadline, waiters: 0 }
    flights.set(ask.topic, started)
    return started
  }

  function give(taken: Flight<Answer>, { topic }: Ask, reason: unknown): void {
    taken.waiters -= 1
    if (taken.waiters > 0) return
    emit({ type: 'flight.aborted', feed })
    // A new waiter must not join a call that is being aborted.
    if (flights.get(topic) === taken) flights.delete(topic)
    taken.controller.abort(reason)
  }

  /** @param until the deadline of the call, if it must be started */
  function wait(ask: Ask, until: number): Promise<Answer> {
    const { signal, deadline } = ask
    const taken = join({ ...ask, deadline: until })
    taken.waiters += 1
    if (taken.waiters > 1) emit({ type: 'flight.joined', feed, waiters: taken.waiters })
    // A waiter that neither leaves early nor would join another call gets the shared promise.
    if (signal === undefined && deadline >= taken.deadline && deadline - taken.deadline < NEGLIGIBLE)
      return taken.answer
    return new Promise<Answer>((resolve, reject) => {
      const leave = (reason: unknown) => {
        stop()
        give(taken, ask, reason)
        reject(reason)
      }
      const left = () => leave(signal?.reason)
      // The call ends by its own deadline with a better reason, so only a waiter with less time needs a timer.
      const late =
        deadline < taken.deadline
          ? clock.after(deadline - clock.monotonic(), () => {
              leave(
                new WeirError(
                  'upstream_timeout',
                  `${feed}: expected ${addressOf(ask.topic)} before the deadline, got nothing`,
                ),
              )
            })
          : undefined
      const stop = () => {
        late?.stop()
        signal?.removeEventListener('abort', left)
      }
      if (signal?.aborted) return left()
      signal?.addEventListener('abort', left, { once: true })
      // This comes first: a waiter that leaves with the answer does not count as leaving.
      taken.answer.then(
        (answer) => {
          stop()
          resolve(answer)
        },
        (error) => {
          stop()
          if (signal?.aborted || !isOutOfTime(error) || deadline <= taken.deadline) reject(error)
          // All retry with the latest deadline. Otherwise each would start another call when the one before it fails.
          else resolve(wait(ask, taken.latest))
        },
      )
    })
  }

  return (ask) => wait(ask, ask.deadline)
}

function isOutOfTime(error: unknown): boolean {
  return error instanceof WeirError && OUT_OF_TIME.includes(error.code)
}
