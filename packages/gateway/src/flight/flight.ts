import { compareVersions } from '@weir/protocol'
import type { Bus, Leases, Values } from '../backend/ports.ts'
import type { Ask, Stage, Urgency } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { addressOf, type Content, hashOf, type Stored } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { parseJson } from '../json.ts'
import { singleFlight } from './single-flight.ts'

export interface FlightParts {
  readonly feed: string
  /** This node, as leases name it. */
  readonly node: string
  readonly leases: Leases
  readonly values: Values
  readonly bus: Bus
  readonly clock: Clock
  readonly emit: Emit
  /** How long a stored value is kept, in milliseconds. */
  readonly keep: number
  /** What this node knows of a topic. */
  known(topic: string): Known
  /** Where a value stands in an order of the upstream's own: what is lower than what is kept is not taken. */
  readonly order?: ((value: unknown) => number | bigint | undefined) | undefined
}

type Known = Pick<Stored, 'version' | 'checkedAt'> | undefined

/**
 * How long a lease is held, in milliseconds. Who has it renews it for as long as its call takes; when it dies, others wait no
 * longer than this.
 */
const HELD = 2500

/** How long the answer of another node is waited for until the lease is asked for again, in milliseconds. */
const AGAIN = 200

/**
 * One call for all who wait for the same topic, on this node and across nodes. What comes back is published under the fencing
 * token that was taken before the call, so a holder that slept through its lease can't write over a later one.
 */
export function flight(parts: FlightParts): Stage<Ask, Promise<Stored>, Ask, Promise<Content>> {
  const { feed, node, leases, values, clock, emit } = parts

  return (next) => {
    async function fly(ask: Ask, signal: AbortSignal, urgency: Urgency): Promise<Stored> {
      const before = parts.known(ask.topic)
      const left = () => Math.max(1, ask.deadline - clock.monotonic())
      let lease = await leases.acquire(ask.topic, node, HELD, 0)
      let stored: Stored | undefined
      for (;;) {
        // Also with the lease in hand: whoever had it before may have published since this node looked.
        stored = await values.read(ask.topic)
        if (stored !== undefined && isNews(stored, before)) {
          if (lease.held) await leases.release(ask.topic, node, lease.token)
          return stored
        }
        if (lease.held) break
        signal.throwIfAborted()
        if (clock.monotonic() >= ask.deadline)
          throw new WeirError('over_budget', `${feed}: another node is asking for ${addressOf(ask.topic)}`, {
            retryAfter: lease.for,
          })
        await publication(parts, ask.topic, before, Math.min(lease.for, left(), AGAIN))
        lease = await leases.acquire(ask.topic, node, HELD, 0)
      }
      const renewed = renewing(parts, ask.topic, lease.token)
      try {
        const content = await next({ ...ask, signal, urgency })
        // Nobody but the holder may have published since.
        if (stored !== undefined && isOlder(parts, content, stored))
          throw new WeirError(
            'upstream_failed',
            `${feed}: what it has of ${addressOf(ask.topic)} is older than what is known`,
            { behind: true },
          )
        return (await publish(parts, ask.topic, lease.token, content)) ?? (await publishLate(ask, content, before))
      } finally {
        renewed.stop()
        await leases.release(ask.topic, node, lease.token)
      }
    }

    /**
     * The lease was lost while the call was under way, as when Redis stood still meanwhile. The answer is paid for: it is published under a lease
     * of its own, so that no version is given twice, unless somebody else has published since.
     */
    async function publishLate(ask: Ask, content: Content, before: Known): Promise<Stored> {
      for (;;) {
        const lease = await leases.acquire(ask.topic, node, HELD, 0)
        try {
          const stored = await values.read(ask.topic)
          if (stored !== undefined && (isNews(stored, before) || isOlder(parts, content, stored))) return stored
          const taken = lease.held ? await publish(parts, ask.topic, lease.token, content) : undefined
          if (taken !== undefined) return taken
        } finally {
          if (lease.held) await leases.release(ask.topic, node, lease.token)
        }
        const left = ask.deadline - clock.monotonic()
        if (left <= 0) throw new WeirError('over_budget', `${feed}: another node is asking for ${addressOf(ask.topic)}`)
        await publication(parts, ask.topic, before, Math.min(left, lease.held ? AGAIN : lease.for, AGAIN))
      }
    }

    return singleFlight({ feed, clock, emit, start: fly })
  }
}

/**
 * Publishes a content that came by itself; what this node is fetching at this moment is fenced off, for it was said before.
 * Undefined, and nothing is changed, while another node is fetching it.
 */
export function arrival(parts: FlightParts): (topic: string, content: Content) => Promise<Stored | undefined> {
  const { node, leases, values, order } = parts
  return async (topic, content) => {
    // Its version says whether it is news; nobody needs to be held off.
    if (content.stamp !== undefined) return publish(parts, topic, 0, content)
    const lease = await leases.acquire(topic, node, HELD, 0)
    if (!lease.held) return undefined
    try {
      const stored = order === undefined ? undefined : await values.read(topic)
      // It came late.
      if (stored !== undefined && isOlder(parts, content, stored)) return stored
      return await publish(parts, topic, lease.token, content)
    } finally {
      await leases.release(topic, node, lease.token)
    }
  }
}

/** Whether a content says of itself that it is older than what is kept, unless that was dropped. */
function isOlder({ order, feed, emit }: FlightParts, { json, stamp }: Content, stored: Stored): boolean {
  if (order === undefined || json === undefined || stamp !== undefined) return false
  if (stored.json === undefined || stored.checkedAt === 0 || json.equals(stored.json)) return false
  try {
    const [then, now] = [json, stored.json].map((text) => order(parseJson(text.toString())))
    return then !== undefined && now !== undefined && then < now
  } catch (error) {
    emit({ type: 'failed', where: `${feed}: order`, error })
    return false
  }
}

function publish(
  { values, keep, known, clock }: FlightParts,
  topic: string,
  token: number,
  given: Content,
): Promise<Stored | undefined> {
  const { epoch = 0, sequence = 0 } = known(topic)?.version ?? {}
  const { since, staleFrom, ...content } = given
  const now = clock.monotonic()
  return values.publish(topic, {
    token,
    knownEpoch: epoch,
    knownSequence: sequence,
    hash: hashOf(content),
    content,
    // Moments travel as durations: each process has a monotonic clock of its own.
    ...(since !== undefined && { age: Math.max(0, now - since) }),
    // Below 0 it is stale already, however long since.
    ...(staleFrom !== undefined && { staleIn: Math.max(-1, staleFrom - now) }),
    keep,
  })
}

/** Holds a lease until it is stopped. */
function renewing({ leases, node, clock, emit, feed }: FlightParts, topic: string, token: number): Timer {
  function plan(): Timer {
    return clock.after(HELD / 5, () => {
      timer = plan()
      leases.renew(topic, node, token, HELD).catch((error) => emit({ type: 'failed', where: `${feed}: lease`, error }))
    })
  }
  let timer = plan()
  return { stop: () => timer.stop() }
}

/** Whether somebody asked after this node knew what it knows. What comes in an older version, or was dropped, is of no use here. */
function isNews(stored: Stored, before: Known): boolean {
  if (before === undefined) return stored.checkedAt > 0
  const order = compareVersions(stored.version, before.version)
  return order > 0 || (order === 0 && stored.checkedAt > before.checkedAt)
}

/** Waits until there is news, for at most so many milliseconds. */
function publication({ bus, clock }: FlightParts, topic: string, before: Known, most: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      stop()
      timer.stop()
      resolve()
    }
    const stop = bus.subscribe(topic, (stored) => {
      if (isNews(stored, before)) end()
    })
    const timer = clock.after(most, end)
  })
}
