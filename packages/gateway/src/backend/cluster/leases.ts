import type { Leases } from '../ports.ts'
import type { Line } from './line.ts'
import type { PrimarySide } from './protocol.ts'

/** Leases in the primary's memory, for all workers. What a worker held that died is free at once. */
export function clusterLeases(line: Line<PrimarySide>): Leases {
  return {
    acquire: (name, owner, ttl, known) =>
      line.ask('acquire', [name, owner, ttl, known], (lease) => {
        // Nobody waits any more for a lease that comes late: others must not wait for its end.
        if (lease.held) line.tell('release', [name, owner, lease.token])
      }),
    renew: (name, owner, token, ttl) => line.ask('renew', [name, owner, token, ttl]),
    release: (name, owner, token) => line.ask('release', [name, owner, token]),
    claim: (group, names, owner, ttl) => line.ask('claim', [group, names, owner, ttl]),
  }
}
