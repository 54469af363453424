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
  /** The name of this node in leases. */
  readonly node: string
  readonly leases: Leases
  readonly values: Values
  readonly bus: Bus
  readonly clock: Clock
  readonly emit: Emit
  /** How long a value stays in the shared tier, in milliseconds. */
  readonly keep: number
  /** The entry that this node has of a topic. */
  known(topic: string): Known
  /** The position of a value in an order of the upstream. A lower position than that of the stored value is rejected. */
  readonly order?: ((value: unknown) => number | bigint | undefined) | undefined
}

type Known = Pick<Stored, 'version' | 'checkedAt'> | undefined

/**
 * The duration of a lease, in milliseconds. Its holder renews it during the call. If the holder dies, others wait no
 * longer than this.
 */
const LEASE_DURATION = 2500

/** How long a node waits for another node's answer before it requests the lease again, in milliseconds. */
const RECHECK_AFTER = 200

/**
 * One call for all waiters of a topic, on this node and across nodes. The result is published under the fencing token
 * taken before the call, so a holder that overslept its lease cannot overwrite a later result.
 */
export function flight(parts: FlightParts): Stage<Ask, Promise<Stored>, Ask, Promise<Content>> {
  const { feed, node, leases, values, clock, emit } = parts

  return (next) => {
    async function fly(ask: Ask, signal: AbortSignal, urgency: Urgency): Promise<Stored> {
      const before = parts.known(ask.topic)
      const left = () => Math.max(1, ask.deadline - clock.monotonic())
      let lease = await leases.acquire(ask.topic, node, LEASE_DURATION, 0)
      let stored: Stored | undefined
      for (;;) {
        // Even with the lease: its previous holder may have published since this node looked.
        stored = await values.read(ask.topic)
        if (stored !== undefined && isNewer(stored, before)) {
          if (lease.held) await leases.release(ask.topic, node, lease.token)
          return stored
        }
        if (lease.held) break
        signal.throwIfAborted()
        if (clock.monotonic() >= ask.deadline)
          throw new WeirError('over_budget', `${feed}: another node is fetching ${addressOf(ask.topic)}`, {
            retryAfter: lease.for,
          })
        await nextPublication(parts, ask.topic, before, Math.min(lease.for, left(), RECHECK_AFTER))
        lease = await leases.acquire(ask.topic, node, LEASE_DURATION, 0)
      }
      const renewed = renewing(parts, ask.topic, lease.token)
      try {
        const content = await next({ ...ask, signal, urgency })
        // Only the holder can have published since.
        if (stored !== undefined && isOlder(parts, content, stored))
          throw new WeirError(
            'upstream_failed',
            `${feed}: expected a value of ${addressOf(ask.topic)} that is not older than the known one, got an older one`,
            { behind: true },
          )
        return (await publish(parts, ask.topic, lease.token, content)) ?? (await publishLate(ask, content, before))
      } finally {
        renewed.stop()
        await leases.release(ask.topic, node, lease.token)
      }
    }

    /**
     * The lease was lost during the call, as after a pause of Redis. The answer is paid for, so it is published under a
     * new lease, which gives it a version of its own. If another node has published since, that value is returned.
     */
    async function publishLate(ask: Ask, content: Content, before: Known): Promise<Stored> {
      for (;;) {
        const lease = await leases.acquire(ask.topic, node, LEASE_DURATION, 0)
        try {
          const stored = await values.read(ask.topic)
          if (stored !== undefined && (isNewer(stored, before) || isOlder(parts, content, stored))) return stored
          const taken = lease.held ? await publish(parts, ask.topic, lease.token, content) : undefined
          if (taken !== undefined) return taken
        } finally {
          if (lease.held) await leases.release(ask.topic, node, lease.token)
        }
        const left = ask.deadline - clock.monotonic()
        if (left <= 0) throw new WeirError('over_budget', `${feed}: another node is fetching ${addressOf(ask.topic)}`)
        await nextPublication(
          parts,
          ask.topic,
          before,
          Math.min(left, lease.held ? RECHECK_AFTER : lease.for, RECHECK_AFTER),
        )
      }
    }

    return singleFlight({ feed, clock, emit, start: fly })
  }
}

/**
 * Publishes a pushed value. A fetch that this node has under way is fenced off, because it began earlier. Returns
 * undefined and changes nothing while another node is fetching the topic.
 */
export function arrival(parts: FlightParts): (topic: string, content: Content) => Promise<Stored | undefined> {
  const { node, leases, values, order } = parts
  return async (topic, content) => {
    // Its version orders it, so it needs no lease.
    if (content.stamp !== undefined) return publish(parts, topic, 0, content)
    const lease = await leases.acquire(topic, node, LEASE_DURATION, 0)
    if (!lease.held) return undefined
    try {
      const stored = order === undefined ? undefined : await values.read(topic)
      // It arrived late.
      if (stored !== undefined && isOlder(parts, content, stored)) return stored
      return await publish(parts, topic, lease.token, content)
    } finally {
      await leases.release(topic, node, lease.token)
    }
  }
}

/** Whether a value is older than the stored one by its own order, unless that was dropped. */
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
    // Times travel as durations, because each process has its own monotonic clock.
    ...(since !== undefined && { age: Math.max(0, now - since) }),
    // A negative value means already stale, regardless of the amount.
    ...(staleFrom !== undefined && { staleIn: Math.max(-1, staleFrom - now) }),
    keep,
  })
}

/** Renews a lease until it is stopped. */
function renewing({ leases, node, clock, emit, feed }: FlightParts, topic: string, token: number): Timer {
  function plan(): Timer {
    return clock.after(LEASE_DURATION / 5, () => {
      timer = plan()
      leases
        .renew(topic, node, token, LEASE_DURATION)
        .catch((error) => emit({ type: 'failed', where: `${feed}: lease`, error }))
    })
  }
  let timer = plan()
  return { stop: () => timer.stop() }
}

/** Whether the stored value is newer than what this node has. Older versions and dropped values do not count. */
function isNewer(stored: Stored, before: Known): boolean {
  if (before === undefined) return stored.checkedAt > 0
  const order = compareVersions(stored.version, before.version)
  return order > 0 || (order === 0 && stored.checkedAt > before.checkedAt)
}

/** Waits for a newer value, for at most `most` milliseconds. */
function nextPublication({ bus, clock }: FlightParts, topic: string, before: Known, most: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      stop()
      timer.stop()
      resolve()
    }
    const stop = bus.subscribe(topic, (stored) => {
      if (isNewer(stored, before)) end()
    })
    const timer = clock.after(most, end)
  })
}
