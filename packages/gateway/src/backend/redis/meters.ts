import type { Meters } from '../ports.ts'
import { type MeterParts, RedisMeter, type SharedMeter } from './meter.ts'
import { unlimitedMeter } from './unlimited-meter.ts'

/** Exact sliding windows that all nodes share. One upstream has one meter. */
export function redisMeters(parts: MeterParts): Meters & { close(): Promise<void> } {
  const meters = new Map<string, SharedMeter>()
  return {
    open(upstream, plan) {
      const known = meters.get(upstream)
      if (known !== undefined) return known
      const meter =
        plan.limits.length === 0 ? unlimitedMeter(upstream, plan, parts) : new RedisMeter(upstream, plan, parts)
      meters.set(upstream, meter)
      return meter
    },

    async close() {
      await Promise.all([...meters.values()].map((meter) => meter.leave()))
    },
  }
}
