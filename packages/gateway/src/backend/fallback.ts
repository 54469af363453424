import { compareVersions } from '@weir/protocol'
import type { Stored } from '../entry.ts'
import { asWeirError } from '../errors.ts'
import type { Backend, Publication } from './ports.ts'

/** How long a value that is stored only here may take to be written, in milliseconds. */
const WRITING = 1000

/**
 * A shared backend that this node can do without. While it can't be reached, values and leases are this process's own, in epochs of their
 * own. When it is back, the next publication starts an epoch that is larger than all of them, so that no version goes back. Meters have a
 * fallback of their own; a log that can't be written refuses the event.
 */
export function withFallback(shared: Backend, own: Backend): Backend {
  /** Reads of one topic at one moment are one command. */
  const reading = new Map<string, Promise<Stored | undefined>>()

  async function read(topic: string): Promise<Stored | undefined> {
    const here = await own.values.read(topic)
    const there = await orOwn(
      async () => shared.values.read(topic),
      () => undefined,
    )
    if (here === undefined || there === undefined) return here ?? there
    return compareVersions(here.version, there.version) > 0 ? here : there
  }

  async function publishOwn(topic: string, publication: Publication): Promise<Stored | undefined> {
    // Leased while the shared backend could not be reached.
    const leased = await own.values.publish(topic, publication)
    if (leased !== undefined) return leased
    const lease = await own.leases.acquire(topic, 'own', WRITING, publication.token)
    if (!lease.held) return undefined
    try {
      return await own.values.publish(topic, { ...publication, token: lease.token })
    } finally {
      await own.leases.release(topic, 'own', lease.token)
    }
  }

  return {
    meters: shared.meters,
    logs: shared.logs,

    values: {
      // During the outage this node goes on in the shared lineage.
      get lineage() {
        return shared.values.lineage ?? own.values.lineage
      },
      read(topic) {
        const known = reading.get(topic)
        if (known !== undefined) return known
        const one = read(topic).finally(() => reading.delete(topic))
        reading.set(topic, one)
        return one
      },
      publish: (topic, publication) =>
        orOwn(
          () => shared.values.publish(topic, publication),
          () => publishOwn(topic, publication),
        ),
      async expire(topic) {
        await own.values.expire(topic)
        await shared.values.expire(topic)
      },
    },

    leases: {
      acquire: (name, owner, ttl, known) =>
        orOwn(
          () => shared.leases.acquire(name, owner, ttl, known),
          // One process: other callers wait in the same flight.
          () => own.leases.acquire(name, owner, ttl, known),
        ),
      claim: (group, names, owner, ttl) =>
        orOwn(
          async () => shared.leases.claim(group, names, owner, ttl),
          () => own.leases.claim(group, names, owner, ttl),
        ),
      async renew(name, owner, token, ttl) {
        await own.leases.renew(name, owner, token, ttl)
        await orOwn(
          () => shared.leases.renew(name, owner, token, ttl),
          () => undefined,
        )
      },
      async release(name, owner, token) {
        await own.leases.release(name, owner, token)
        // A lease that can't be given back expires by itself.
        await orOwn(
          () => shared.leases.release(name, owner, token),
          () => undefined,
        )
      },
    },

    bus: {
      publish: (channel, message) => shared.bus.publish(channel, message),
      broadcast: (channel, word) => shared.bus.broadcast(channel, word),
      onBroadcast: (channel, listener) => shared.bus.onBroadcast(channel, listener),
      subscribe(channel, listener) {
        const stops = [shared.bus.subscribe(channel, listener), own.bus.subscribe(channel, listener)]
        return () => {
          for (const stop of stops) stop()
        }
      },
    },

    async close() {
      await shared.close()
      await own.close()
    },
  }
}

/** What `ask` gives, or `instead` while the shared backend can't be reached. */
async function orOwn<Given>(ask: () => Promise<Given>, instead: () => Given | Promise<Given>): Promise<Given> {
  try {
    return await ask()
  } catch (thrown) {
    if (asWeirError(thrown).code !== 'backend_unavailable') throw thrown
    return instead()
  }
}
