import { LRUCache } from 'lru-cache'
import type { Clock } from '../../clock.ts'
import type { Stored } from '../../entry.ts'
import type { Bus, Publication, Values } from '../ports.ts'
import type { Fences } from './leases.ts'

/** The latest contents in this process's memory, bounded in bytes. What falls out begins a new, larger epoch when it returns. */
export function memoryValues(clock: Clock, bus: Bus, fences: Fences, bytes: number): Values {
  const stored = new LRUCache<string, Stored>({
    maxSize: bytes,
    sizeCalculation: (value) => 200 + (value.json?.byteLength ?? 0),
    perf: { now: () => clock.monotonic() },
    ttlAutopurge: false,
  })

  return {
    async read(topic) {
      return stored.get(topic)
    },

    async publish(topic, { token, knownEpoch, hash, content, keep }: Publication) {
      if (token < fences.of(topic)) return undefined
      const now = clock.now()
      const before = stored.get(topic)
      let next: Stored
      if (before === undefined || before.version.epoch < knownEpoch) {
        const version = { epoch: Math.max(now, knownEpoch + 1), sequence: 1 }
        next = { ...content, hash, version, changedAt: now, checkedAt: now }
      } else if (before.hash === hash) {
        next = { ...before, absentFor: content.absentFor, checkedAt: now }
      } else {
        const version = { epoch: before.version.epoch, sequence: before.version.sequence + 1 }
        next = { ...content, hash, version, changedAt: now, checkedAt: now }
      }
      stored.set(topic, next, { ttl: keep })
      bus.publish(topic, next)
      return next
    },
  }
}
