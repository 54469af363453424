import type { Leases, Values } from '../backend/ports.ts'
import { type Ask, type Stage, Urgency } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Content, hashOf, type Stored } from '../entry.ts'
import { WeirError } from '../errors.ts'
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
  waiters: number
}

/**
 * One call for all who wait for the same topic. Waiters are counted: one leaving fails nobody, the last leaving aborts
 * the call. What comes back is published under the fencing token that was taken before the call, so a holder that slept
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
        return known
      }
      const controller = new AbortController()
      const urgency = new Urgency(ask.priority)
      const answer = fly(ask, controller.signal, urgency).finally(() => {
        if (flights.get(ask.topic) === started) flights.delete(ask.topic)
      })
      // Every waiter gets the failure through its own promise; nobody waiting must not end the process.
      answer.catch(() => {})
      const started: Flight = { controller, urgency, answer, waiters: 0 }
      flights.set(ask.topic, started)
      return started
    }

    return (ask) => {
      const taken = take(ask)
      taken.waiters += 1
      if (taken.waiters > 1) emit({ type: 'flight.joined', feed, waiters: taken.waiters })
      const { signal } = ask
      if (signal === undefined) return taken.answer
      return new Promise<Stored>((resolve, reject) => {
        const leave = () => {
          taken.waiters -= 1
          reject(signal.reason)
          if (taken.waiters > 0) return
          emit({ type: 'flight.aborted', feed })
          // A newcomer must not join a call that is being aborted.
          if (flights.get(ask.topic) === taken) flights.delete(ask.topic)
          taken.controller.abort(signal.reason)
        }
        if (signal.aborted) return leave()
        signal.addEventListener('abort', leave, { once: true })
        // First of all: who leaves with the answer in hand is no waiter that leaves.
        const arrived = () => signal.removeEventListener('abort', leave)
        taken.answer.then(
          (stored) => {
            arrived()
            resolve(stored)
          },
          (error) => {
            arrived()
            reject(error)
          },
        )
      })
    }
  }
}
