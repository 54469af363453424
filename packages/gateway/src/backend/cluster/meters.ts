import type { Clock } from '../../clock.ts'
import type { Grant, Grants, Meter, Meters } from '../ports.ts'
import type { Line } from './line.ts'
import type { PrimarySide, TimedGrant, TimedGrants } from './protocol.ts'

/** Meters in the primary, for all workers. */
export function clusterMeters(line: Line<PrimarySide>, clock: Clock): Meters {
  const meters = new Map<string, Meter>()
  return {
    open(upstream, plan) {
      const known = meters.get(upstream)
      if (known !== undefined) return known
      line.tell('open', [upstream, plan])
      const meter = clusterMeter(upstream, line, clock)
      meters.set(upstream, meter)
      return meter
    },
  }
}

function clusterMeter(upstream: string, line: Line<PrimarySide>, clock: Clock): Meter {
  /** A grant was made between when it was asked for and when it is here: it opens late and closes early. */
  function grantOf({ opensIn, closesIn, ...grant }: TimedGrant, asked: number, now: number): Grant {
    return { ...grant, opens: now + Math.max(0, opensIn), closes: asked + closesIn }
  }

  function cancelAll({ granted }: TimedGrants): void {
    for (const { id } of granted) line.tell('cancel', [upstream, id])
  }

  return {
    async take(wants): Promise<Grants> {
      const asked = clock.monotonic()
      // What is granted too late nobody starts.
      const answer = await line.ask('take', [upstream, wants], cancelAll)
      const now = clock.monotonic()
      return { ...answer, granted: answer.granted.map((grant) => grantOf(grant, asked, now)) }
    },
    // That it is over is heard later than it was: its places come free later, never sooner.
    settle: ({ id, cost }, truth = cost) => line.tell('settle', [upstream, id, truth]),
    cancel: ({ id }) => line.tell('cancel', [upstream, id]),
    close: (duration, key) => line.tell('close', [upstream, duration, key]),
    closeLane: (duration, lane) => line.tell('closeLane', [upstream, duration, lane]),
    backOff: () => line.tell('backOff', [upstream]),
    spend: (key, duration) => line.tell('spend', [upstream, key, duration]),
    learn: (left, key) => line.tell('learn', [upstream, left, key]),
  }
}
