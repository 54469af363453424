/** What a plan allows an organisation. */
export interface Plan {
  /** Calls a second, as the price list says it. */
  readonly rps: number
  /** Calls in any 60 s, which is what is enforced. */
  readonly perMinute: number
  /** Calls in any 1 s to /swap/v2/execute, which has a bucket of its own. */
  readonly executeRps: number
}

export const PLAN_NAMES = ['keyless', 'free', 'developer', 'launch', 'pro'] as const

export type PlanName = (typeof PLAN_NAMES)[number]

export const PLANS: Readonly<Record<PlanName, Plan>> = {
  keyless: { rps: 0.5, perMinute: 30, executeRps: 20 },
  free: { rps: 1, perMinute: 60, executeRps: 50 },
  developer: { rps: 10, perMinute: 600, executeRps: 100 },
  launch: { rps: 50, perMinute: 3_000, executeRps: 100 },
  pro: { rps: 150, perMinute: 9_000, executeRps: 100 },
}

/** So many calls in any window of `span` milliseconds. */
export interface Limit {
  readonly calls: number
  readonly span: number
}

/** The plan's limit; strict counts by the second what the plan counts by the minute (keyless: 1 in any 2 s). */
export function planLimit(plan: Plan, strict: boolean): Limit {
  if (!strict) return { calls: plan.perMinute, span: 60_000 }
  return plan.rps < 1 ? { calls: 1, span: 1_000 / plan.rps } : { calls: plan.rps, span: 1_000 }
}

export function executeLimit(plan: Plan): Limit {
  return { calls: plan.executeRps, span: 1_000 }
}
