import type { Leases } from '../ports.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import type { PrimarySide } from './protocol.ts'

/** Leases in the primary's memory, for all workers. What a worker held that died is free at once. */
export function clusterLeases(line: IpcRpc<PrimarySide>): Leases {
  return {
    acquire: (name, owner, ttl, known) =>
      line.request('acquire', [name, owner, ttl, known], (lease) => {
        // Nobody waits any more for a lease that comes late: others must not wait for its end.
        if (lease.held) line.notify('release', [name, owner, lease.token])
      }),
    renew: (name, owner, token, ttl) => line.request('renew', [name, owner, token, ttl]),
    release: (name, owner, token) => line.request('release', [name, owner, token]),
    claim: (group, names, owner, ttl) => line.request('claim', [group, names, owner, ttl]),
  }
}
