import type { Leases, Values } from '../backend/ports.ts'
import { type Ask, type Stage, Urgency } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Content, hashOf, type Stored } from '../entry.ts'
import { type ErrorCode, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

export interface FlightParts {
  readonly feed: string
  /** This node, as leases name it. */
  readonly node: string
  readonly leases: Leases
  readonly values: Values
  readonly clock: Clock
  readonly emit: Emit
  /** How long a stored value is kept, in milliseconds. */
  readonly keep: number
  /** The epoch this node last saw for a topic, 0 when none. */
  knownEpoch(topic: string): number
}

interface Flight {
  readonly controller: AbortController
  readonly urgency: Urgency
  readonly answer: Promise<Stored>
  /** Until when its answer is of use to who asked first: the call ends by then. */
  readonly deadline: number
  /** The latest deadline of those who joined. */
  latest: number
  waiters: number
}

/** How a call fails that has no time left. */
const OUT_OF_TIME: readonly ErrorCode[] = ['over_budget', 'upstream_timeout']

/**
 * One call for all who wait for the same topic. Waiters are counted: one leaving fails nobody, the last leaving aborts
 * the call. Each keeps a deadline of its own: whoever has less time than the call leaves before it ends, and whoever has more
 * takes part in another when it fails for want of time. What comes back is published under the fencing token that was taken before the call, so a holder that slept
 * through its lease can't write over a later one.
 */
export function flight(parts: FlightParts): Stage<Ask, Promise<Stored>, Ask, Promise<Content>> {
  const { feed, node, leases, values, clock, emit, keep } = parts
  const flights = new Map<string, Flight>()

  return (next) => {
    async function fly(ask: Ask, signal: AbortSignal, urgency: Urgency): Promise<Stored> {
      const ttl = Math.max(1, ask.deadline - clock.monotonic())
      const lease = await leases.acquire(ask.topic, node, ttl, 0)
      if (!lease.held) {
        const stored = await values.read(ask.topic)
        if (stored !== undefined) return stored
        throw new WeirError('over_budget', `${feed}: another node is asking for ${ask.topic}`, {
          retryAfter: lease.for,
        })
      }
      try {
        const content = await next({ ...ask, signal, urgency })
        const publication = {
          token: lease.token,
          knownEpoch: parts.knownEpoch(ask.topic),
          hash: hashOf(content),
          content,
          keep,
        }
        const stored = (await values.publish(ask.topic, publication)) ?? (await values.read(ask.topic))
        if (stored === undefined)
          throw new WeirError('internal', `${feed}: the lease on ${ask.topic} was lost before the answer came`)
        return stored
      } finally {
        await leases.release(ask.topic, node, lease.token)
      }
    }

    function take(ask: Ask): Flight {
      const known = flights.get(ask.topic)
      if (known !== undefined) {
        known.urgency.raise(ask.priority)
        known.latest = Math.max(known.latest, ask.deadline)
        return known
      }
      const controller = new AbortController()
      const urgency = new Urgency(ask.priority)
      const answer = fly(ask, controller.signal, urgency).finally(() => {
        if (flights.get(ask.topic) === started) flights.delete(ask.topic)
      })
      // Every waiter gets the failure through its own promise; nobody waiting must not end the process.
      answer.catch(() => {})
      const { deadline } = ask
      const started: Flight = { controller, urgency, answer, deadline, latest: deadline, waiters: 0 }
      flights.set(ask.topic, started)
      return started
    }

    function give(taken: Flight, { topic }: Ask, reason: unknown): void {
      taken.waiters -= 1
      if (taken.waiters > 0) return
      emit({ type: 'flight.aborted', feed })
      // A newcomer must not join a call that is being aborted.
      if (flights.get(topic) === taken) flights.delete(topic)
      taken.controller.abort(reason)
    }

    /** `until`: for a call that has to be made for it. */
    function wait(ask: Ask, until: number): Promise<Stored> {
      const { signal, deadline } = ask
      const taken = take({ ...ask, deadline: until })
      taken.waiters += 1
      if (taken.waiters > 1) emit({ type: 'flight.joined', feed, waiters: taken.waiters })
      return new Promise<Stored>((resolve, reject) => {
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
                  new WeirError('upstream_timeout', `${feed}: expected ${ask.topic} before the deadline, got nothing`),
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
          (stored) => {
            stop()
            resolve(stored)
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
}

function isOutOfTime(error: unknown): boolean {
  return error instanceof WeirError && OUT_OF_TIME.includes(error.code)
}
