import { memoryMeters } from '../memory/meters.ts'
import type { Meters } from '../ports.ts'
import { type MeterParts, redisMeter, type SharedMeter } from './meter.ts'

/** Exact sliding windows that all nodes share. */
export function redisMeters(parts: MeterParts): Meters & { close(): Promise<void> } {
  const meters = new Map<string, SharedMeter>()
  const local = memoryMeters(parts.clock)
  return {
    open(upstream, plan) {
      // Without limits there is nothing to share, and no reason to ask Redis for leave.
      if (plan.limits.length === 0) return local.open(upstream, plan)
      const known = meters.get(upstream)
      if (known !== undefined) return known
      const meter = redisMeter(upstream, plan, parts)
      meters.set(upstream, meter)
      return meter
    },

    async close() {
      await Promise.all([...meters.values()].map((meter) => meter.leave()))
    },
  }
}
