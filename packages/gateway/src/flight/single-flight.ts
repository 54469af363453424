import { type Ask, Urgency } from '../call.ts'
import type { Clock } from '../clock.ts'
import { addressOf } from '../entry.ts'
import { type ErrorCode, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

export interface SingleFlightParts<Answer> {
  readonly feed: string
  readonly clock: Clock
  readonly emit: Emit
  /** Makes the call; `signal` is aborted when nobody waits any more. */
  start(ask: Ask, signal: AbortSignal, urgency: Urgency): Promise<Answer>
}

interface Flight<Answer> {
  readonly controller: AbortController
  readonly urgency: Urgency
  readonly answer: Promise<Answer>
  /** Until when its answer is of use to who asked first: the call ends by then. */
  readonly deadline: number
  /** The latest deadline of those who joined. */
  latest: number
  waiters: number
}

/** So little more time than the call has, in milliseconds, is no reason to make another. */
const BARELY = 100

/** How a call fails that has no time left. */
const OUT_OF_TIME: readonly ErrorCode[] = ['over_budget', 'upstream_timeout']

/**
 * One call for all who wait for the same topic. Waiters are counted: one leaving fails nobody, the last leaving aborts the
 * call. Each keeps a deadline of its own: whoever has less time than the call leaves before it ends, and whoever has more takes
 * part in another when it fails for want of time.
 */
export function singleFlight<Answer>({
  feed,
  clock,
  emit,
  start,
}: SingleFlightParts<Answer>): (ask: Ask) => Promise<Answer> {
  const flights = new Map<string, Flight<Answer>>()

  function take(ask: Ask): Flight<Answer> {
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
    // Every waiter gets the failure through its own promise; nobody waiting must not end the process.
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
    // A newcomer must not join a call that is being aborted.
    if (flights.get(topic) === taken) flights.delete(topic)
    taken.controller.abort(reason)
  }

  /** `until`: for a call that has to be made for it. */
  function wait(ask: Ask, until: number): Promise<Answer> {
    const { signal, deadline } = ask
    const taken = take({ ...ask, deadline: until })
    taken.waiters += 1
    if (taken.waiters > 1) emit({ type: 'flight.joined', feed, waiters: taken.waiters })
    // Who neither leaves early nor would wait for another call has what all have: no promise is made for it.
    if (signal === undefined && deadline >= taken.deadline && deadline - taken.deadline < BARELY) return taken.answer
    return new Promise<Answer>((resolve, reject) => {
      const leave = (reason: unknown) => {
        stop()
        give(taken, ask, reason)
        reject(reason)
      }
      const left = () => leave(signal?.reason)
      // The call itself ends by its own deadline, and knows better why: only who has less time watches the clock.
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
      // First of all: who leaves with the answer in hand is no waiter that leaves.
      taken.answer.then(
        (answer) => {
          stop()
          resolve(answer)
        },
        (error) => {
          stop()
          if (signal?.aborted || !isOutOfTime(error) || deadline <= taken.deadline) reject(error)
          // All go on with the time of the most patient: else each would ask again when the one before it fails.
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
