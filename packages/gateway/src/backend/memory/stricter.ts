import type { MeterLimit, MeterPlan } from '../ports.ts'

/** What a limit is, whatever its place in a list and however much it allows. */
function kindOf({ window, by, counts = 'cost', lane = '' }: MeterLimit): string {
  return JSON.stringify([window, by, counts, lane])
}

/** Limits as one text: the same for lists that differ in order alone. */
export function formOf(limits: readonly MeterLimit[]): string {
  return JSON.stringify(limits.map((limit) => [kindOf(limit), limit.limit]).sort())
}

/** A plan that all of these allow: each limit of any of them, and of one kind the smallest. */
export function stricter(plans: readonly [MeterPlan, ...MeterPlan[]]): MeterPlan {
  const limits = new Map<string, MeterLimit>()
  for (const limit of plans.flatMap(({ limits }) => limits)) {
    const known = limits.get(kindOf(limit))
    if (known === undefined || limit.limit < known.limit) limits.set(kindOf(limit), limit)
  }
  const [first] = plans
  const timeouts = plans.flatMap(({ timeout }) => timeout ?? [])
  return {
    ...first,
    limits: [...limits.keys()].sort().flatMap((kind) => limits.get(kind) ?? []),
    // A worker knows no key beyond its own.
    keys: Math.min(...plans.map(({ keys }) => keys)),
    pastUsage: plans.every(({ pastUsage }) => pastUsage === 'none') ? 'none' : 'unknown',
    pace: plans.some(({ pace }) => pace === true),
    ...(timeouts.length > 0 && { timeout: Math.max(...timeouts) }),
  }
}

/** Limits in words, for operators: `10/1000ms, 40/10000ms by key`. */
export function shownLimits(limits: readonly MeterLimit[]): string {
  const one = ({ limit, window, by, lane }: MeterLimit) =>
    `${limit}/${window}ms${by === 'key' ? ' by key' : ''}${lane === undefined ? '' : ` of ${lane}`}`
  return limits.map(one).join(', ')
}
