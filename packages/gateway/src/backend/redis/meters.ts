import type { Meters } from '../ports.ts'
import { type MeterParts, redisMeter, type SharedMeter } from './meter.ts'
import { unlimitedMeter } from './unlimited-meter.ts'

/** Exact sliding windows that all nodes share. */
export function redisMeters(parts: MeterParts): Meters & { close(): Promise<void> } {
  const meters = new Map<string, SharedMeter>()
  return {
    open(upstream, plan) {
      const known = meters.get(upstream)
      if (known !== undefined) return known
      const meter = plan.limits.length === 0 ? unlimitedMeter(upstream, plan, parts) : redisMeter(upstream, plan, parts)
      meters.set(upstream, meter)
      return meter
    },

    async close() {
      await Promise.all([...meters.values()].map((meter) => meter.leave()))
    },
  }
}
