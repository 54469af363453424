import type { Clock } from '../../clock.ts'
import type { Leases } from '../ports.ts'

/** The token that may write, by topic; 0 when none may. */
export interface Fences {
  of(name: string): number
}

/** Who holds leases and claims. */
export interface Owners {
  /** It is no more: what it held and claimed is free. */
  gone(owner: string): void
}

interface Held {
  owner: string
  token: number
  /** Moment on the monotonic clock. */
  until: number
}

/** Leases inside one process. */
export function memoryLeases(clock: Clock): Leases & Fences & Owners {
  const leases = new Map<string, Held>()
  const claims = new Map<string, Map<string, { readonly owner: string; readonly until: number }>>()
  // One counter for all names keeps every token above all earlier ones without remembering each name's last.
  let last = 0

  return {
    of: (name) => leases.get(name)?.token ?? 0,

    async acquire(name, owner, ttl, known) {
      const now = clock.monotonic()
      const held = leases.get(name)
      if (held !== undefined && held.until > now && held.owner !== owner) return { held: false, for: held.until - now }
      const token = Math.max(clock.now() * 1000, last + 1, known + 1)
      last = token
      leases.set(name, { owner, token, until: now + ttl })
      return { held: true, token }
    },

    claim(group, names, owner, ttl) {
      const now = clock.monotonic()
      const claimed = claims.get(group) ?? new Map()
      claims.set(group, claimed)
      const mine = names.map((name) => {
        const held = claimed.get(name)
        if (held !== undefined && held.owner !== owner && held.until > now) return false
        // Anew, so that those whose time is over first stand first.
        claimed.delete(name)
        if (ttl > 0) claimed.set(name, { owner, until: now + ttl })
        return true
      })
      for (const [name, { until }] of claimed) {
        if (until > now) break
        claimed.delete(name)
      }
      return mine
    },

    async renew(name, owner, token, ttl) {
      const held = leases.get(name)
      if (held?.owner === owner && held.token === token) held.until = clock.monotonic() + ttl
    },

    async release(name, owner, token) {
      const held = leases.get(name)
      if (held?.owner === owner && held.token === token) leases.delete(name)
    },

    gone(owner) {
      for (const [name, held] of leases) if (held.owner === owner) leases.delete(name)
      for (const claimed of claims.values()) {
        for (const [name, claim] of claimed) if (claim.owner === owner) claimed.delete(name)
      }
    },
  }
}
