import type { Clock } from '../../clock.ts'
import type { Lease, Leases } from '../ports.ts'
import type { RedisConnection } from './connection.ts'
import type { Keys } from './keys.ts'
import { ACQUIRE, CLAIM, RELEASE, RENEW } from './scripts.ts'
import type { Reply } from './server.ts'

/** How many names one script takes: other commands wait for it. */
const MOST_CLAIMED = 1000

export interface RedisLeases extends Leases {
  /** Gives back the leases that are held, so that a call that a closing node aborts delays no other. */
  leave(): Promise<void>
}

/** Leases in Redis, for all nodes. */
export function redisLeases(connection: RedisConnection, keys: Keys, clock: Clock): RedisLeases {
  // Must grow while this process uses its owner's name. Wall time makes it grow over a restart too.
  let request = clock.now() * 1000

  /** The leases that this process holds. */
  const held = new Map<string, { readonly name: string; readonly owner: string; readonly token: number }>()

  async function release(name: string, owner: string, token: number): Promise<void> {
    held.delete(`${token} ${name}`)
    await connection.run(RELEASE, [keys.lease(name)], [owner, String(token), keys.channel(name)])
  }

  return {
    async acquire(name, owner, ttl, known) {
      request += 1
      const args = [owner, String(Math.max(1, Math.ceil(ttl))), String(known), String(request)]
      // No caller waits for a late lease. It is given back, so that others need not wait for its end.
      const late = (reply: Reply) => {
        const lease = leaseOf(reply)
        if (lease.held) release(name, owner, lease.token).catch(() => {})
      }
      const lease = leaseOf(await connection.run(ACQUIRE, [keys.lease(name), keys.fence(name)], args, late))
      if (lease.held) held.set(`${lease.token} ${name}`, { name, owner, token: lease.token })
      return lease
    },

    async renew(name, owner, token, ttl) {
      await connection.run(RENEW, [keys.lease(name)], [owner, String(token), String(Math.max(1, Math.ceil(ttl)))])
    },

    async claim(group, names, owner, ttl) {
      const mine: boolean[] = []
      for (let from = 0; from < names.length; from += MOST_CLAIMED) {
        const some = names.slice(from, from + MOST_CLAIMED)
        const args = [owner, String(Math.ceil(ttl)), ...some]
        const reply = await connection.run(CLAIM, [keys.claims(group), keys.claimed(group)], args)
        for (const one of Array.isArray(reply) ? reply : []) mine.push(one === 1)
      }
      return mine
    },

    release,

    async leave() {
      const all = [...held.values()].map(({ name, owner, token }) => release(name, owner, token))
      await Promise.allSettled(all)
    },
  }
}

function leaseOf(reply: Reply): Lease {
  const [held, value] = Array.isArray(reply) ? reply : []
  return held === 1 ? { held: true, token: Number(String(value)) } : { held: false, for: Math.max(1, Number(value)) }
}
