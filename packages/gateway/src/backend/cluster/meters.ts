import type { Clock } from '../../clock.ts'
import type { Grant, Grants, Meter, Meters } from '../ports.ts'
import type { IpcRpc } from './ipc-rpc.ts'
import type { PrimarySide, TimedGrant, TimedGrants } from './protocol.ts'

/** Meters in the primary, for all workers. */
export function clusterMeters(line: IpcRpc<PrimarySide>, clock: Clock): Meters {
  const meters = new Map<string, Meter>()
  return {
    open(upstream, plan) {
      const known = meters.get(upstream)
      if (known !== undefined) return known
      line.notify('open', [upstream, plan])
      const meter = clusterMeter(upstream, line, clock)
      meters.set(upstream, meter)
      return meter
    },
  }
}

function clusterMeter(upstream: string, line: IpcRpc<PrimarySide>, clock: Clock): Meter {
  /** A grant was made between the request and the answer: it opens late and closes early. */
  function grantOf({ opensIn, closesIn, ...grant }: TimedGrant, asked: number, now: number): Grant {
    return { ...grant, notBefore: now + Math.max(0, opensIn), expiresAt: asked + closesIn }
  }

  function cancelAll({ granted }: TimedGrants): void {
    for (const { id } of granted) line.notify('cancel', [upstream, id])
  }

  return {
    async acquire(wants): Promise<Grants> {
      const asked = clock.monotonic()
      // A grant whose answer comes after the deadline is given back.
      const answer = await line.request('take', [upstream, wants], cancelAll)
      const now = clock.monotonic()
      return { ...answer, granted: answer.granted.map((grant) => grantOf(grant, asked, now)) }
    },
    // The primary learns of the end late: the places come free later, never sooner.
    release: ({ id, cost }, truth = cost) => line.notify('settle', [upstream, id, truth]),
    cancel: ({ id }) => line.notify('cancel', [upstream, id]),
    pause: (duration, key) => line.notify('pause', [upstream, duration, key]),
    pauseLane: (duration, lane) => line.notify('pauseLane', [upstream, duration, lane]),
    backOff: () => line.notify('backOff', [upstream]),
    exhaustKey: (key, duration) => line.notify('exhaustKey', [upstream, key, duration]),
    syncRemaining: (remaining, key) => line.notify('syncRemaining', [upstream, remaining, key]),
  }
}
