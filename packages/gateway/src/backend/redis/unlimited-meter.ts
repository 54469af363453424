import { memoryMeter } from '../memory/meters.ts'
import { type MeterPlan, SPENT_FOR } from '../ports.ts'
import type { MeterParts, SharedMeter } from './meter.ts'
import { PAUSES } from './scripts.ts'
import type { Listed } from './take.ts'

/** While it is used, a node asks this often for the pauses of others, in milliseconds. */
const OFTEN = 100

/** Nodes try an exhausted key again one after the other, spread over this part of its time: the first result is shared. */
const SPREAD = 1 / 60

/** How pauses are named in Redis: all of the upstream, or by prefix a lane or an exhausted key. A key alone is its index. */
const ALL = 'all'
const EXHAUSTED = 'spent '
const LANE = 'lane '

/**
 * The meter of an upstream without limits. Nothing needs to be counted, so calls never wait for Redis. A pause that one node was asked for
 * holds for all of them, within 100 ms of use.
 */
export function unlimitedMeter(
  upstream: string,
  plan: MeterPlan,
  { connection, keys, clock }: MeterParts,
): SharedMeter {
  const own = memoryMeter(clock, plan)
  const { spentFor = SPENT_FOR } = plan
  const spread = Math.random() * spentFor * SPREAD
  let unsent: readonly { readonly what: string; readonly until: number }[] = []
  let sentAt = Number.NEGATIVE_INFINITY

  async function exchange(): Promise<void> {
    const asked = clock.monotonic()
    sentAt = asked
    const sent = unsent
    const pairs = sent.map(({ what, until }) => [what, until - asked] as const).filter(([, left]) => left > 0)
    const reply = await connection.run(PAUSES, [keys.pauses(upstream)], [JSON.stringify(pairs)])
    unsent = unsent.filter((one) => !sent.includes(one))
    const pauses: Listed<readonly [what: string, left: number]> = JSON.parse(String(reply))
    const took = clock.monotonic() - asked
    // Counted from the request: a slow reply makes no pause longer.
    for (const [what, left] of Array.isArray(pauses) ? pauses : []) apply(what, left - took)
  }

  function apply(what: string, duration: number): void {
    if (duration <= 0) return
    if (what.startsWith(EXHAUSTED)) own.exhaustKey(Number(what.slice(EXHAUSTED.length)), duration + spread)
    else if (what.startsWith(LANE)) own.pauseLane(duration, what.slice(LANE.length))
    else own.pause(duration, what === ALL ? undefined : Number(what))
  }

  /** What can't be sent now goes with the next request. */
  function exchangeNow(): void {
    exchange().catch(() => {})
  }

  function share(what: string, duration: number): void {
    unsent = [...unsent, { what, until: clock.monotonic() + duration }]
    exchangeNow()
  }

  return {
    ...own,
    acquire(wants) {
      if (clock.monotonic() - sentAt >= OFTEN) exchangeNow()
      return own.acquire(wants)
    },
    pause(duration, key) {
      own.pause(duration, key)
      share(key === undefined ? ALL : String(key), duration)
    },
    pauseLane(duration, lane) {
      own.pauseLane(duration, lane)
      share(LANE + lane, duration)
    },
    exhaustKey(key, duration = spentFor) {
      own.exhaustKey(key, duration + spread)
      share(`${EXHAUSTED}${key}`, duration)
    },
    leave: () => Promise.resolve(),
  }
}
