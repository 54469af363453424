import { memoryMeter } from '../memory/meters.ts'
import { type MeterPlan, SPENT_FOR } from '../ports.ts'
import type { MeterParts, SharedMeter } from './meter.ts'
import { PAUSES } from './scripts.ts'

/** While it is called a node asks this often what rests, in milliseconds. */
const OFTEN = 100

/** Nodes try a key that was used up again one after the other, in this part of the time: the first to find out tells the others. */
const APART = 1 / 60

const ALL = 'all'
const USED_UP = 'spent '
const LANE = 'lane '

/**
 * The meter of an upstream without limits. There is no reason to ask Redis for leave, so calls never wait for it; but a rest
 * that one node was told to take all take, within 100 ms of being called.
 */
export function unlimitedMeter(
  upstream: string,
  plan: MeterPlan,
  { connection, keys, clock }: MeterParts,
): SharedMeter {
  const own = memoryMeter(clock, plan)
  const { spentFor = SPENT_FOR } = plan
  const apart = Math.random() * spentFor * APART
  let news: readonly { readonly what: string; readonly until: number }[] = []
  let askedAt = Number.NEGATIVE_INFINITY

  async function ask(): Promise<void> {
    askedAt = clock.monotonic()
    const sent = news
    const pairs = sent.map(({ what, until }) => [what, until - askedAt] as const).filter(([, left]) => left > 0)
    const reply = await connection.run(PAUSES, [keys.pauses(upstream)], [JSON.stringify(pairs)])
    news = news.filter((one) => !sent.includes(one))
    const told: readonly (readonly [string, number])[] | Readonly<Record<string, never>> = JSON.parse(String(reply))
    for (const [what, left] of Array.isArray(told) ? told : []) {
      if (what.startsWith(USED_UP)) own.exhaustKey(Number(what.slice(USED_UP.length)), left + apart)
      else if (what.startsWith(LANE)) own.pauseLane(left, what.slice(LANE.length))
      else own.pause(left, what === ALL ? undefined : Number(what))
    }
  }

  /** What could not be told now is told with the next question. */
  function askNow(): void {
    ask().catch(() => {})
  }

  function tell(what: string, duration: number): void {
    news = [...news, { what, until: clock.monotonic() + duration }]
    askNow()
  }

  return {
    ...own,
    acquire(wants) {
      if (clock.monotonic() - askedAt >= OFTEN) askNow()
      return own.acquire(wants)
    },
    pause(duration, key) {
      own.pause(duration, key)
      tell(key === undefined ? ALL : String(key), duration)
    },
    pauseLane(duration, lane) {
      own.pauseLane(duration, lane)
      tell(LANE + lane, duration)
    },
    exhaustKey(key, duration = spentFor) {
      own.exhaustKey(key, duration + apart)
      tell(`${USED_UP}${key}`, duration)
    },
    leave: () => Promise.resolve(),
  }
}
