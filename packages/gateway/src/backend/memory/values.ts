import { randomBytes } from 'node:crypto'
import { compareVersions } from '@weir/protocol'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../clock.ts'
import { compareNews, keptOver, type Stored } from '../../entry.ts'

import type { Bus, Publication, Values } from '../ports.ts'
import type { Fences } from './leases.ts'

/** The latest contents in this process's memory, bounded in bytes. What falls out begins a new, larger epoch when it returns. */
export function memoryValues(clock: Clock, bus: Bus, fences: Fences, bytes: number): Values {
  // The largest epoch that was lost: one that begins anew must be larger, also in the same millisecond.
  let lost = 0
  const stored = new LRUCache<string, Stored>({
    maxSize: bytes,
    sizeCalculation: (value) => 200 + (value.json?.byteLength ?? 0),
    perf: { now: () => clock.monotonic() },
    // Otherwise the cache would remember what time it is until a timer of its own, on the machine's clock, has run.
    ttlResolution: 0,
    ttlAutopurge: false,
    dispose: (value, _, reason) => {
      if (reason !== 'set') lost = Math.max(lost, value.version.epoch)
    },
  })

  return {
    lineage: randomBytes(9).toString('base64url'),

    read: (topic) => stored.get(topic),

    async publish(topic, publication: Publication) {
      const { token, knownEpoch, knownSequence = 0, hash, keep, age = 0, staleIn } = publication
      const { stamp, ...content } = publication.content
      // Only the holder may write: once a later one has given the lease back, nothing else tells that it was there.
      if (stamp === undefined && token !== fences.of(topic)) return undefined
      const now = clock.now()
      const checkedAt = Math.round(now - age)
      const held = staleIn === undefined ? {} : { staleAt: Math.round(now + staleIn) }
      const before = stored.get(topic)
      let next: Stored
      const known = { epoch: knownEpoch, sequence: knownSequence }
      /** The same value, checked again. Of what was made of something older nothing is taken. */
      const again = (before: Stored, checkedAt: number): Stored => {
        if (checkedAt < before.checkedAt) return { ...before, absentFor: content.absentFor }
        const { staleAt: _, ...same } = before
        return { ...same, ...held, absentFor: content.absentFor, checkedAt }
      }
      if (stamp !== undefined) {
        const order = before === undefined ? 1 : compareNews(stamp, before)
        if (before !== undefined && order < 0) return before
        next =
          before !== undefined && order === 0
            ? again(before, stamp.checkedAt)
            : { ...content, ...held, hash, ...stamp, over: stamp.over ?? keptOver(stamp, before) }
      } else if (before === undefined || compareVersions(before.version, known) < 0) {
        const version = { epoch: Math.max(now, knownEpoch + 1, lost + 1), sequence: 1 }
        next = { ...content, ...held, hash, version, changedAt: checkedAt, checkedAt }
      } else if (before.hash === hash) {
        next = again(before, checkedAt)
      } else {
        const version = { epoch: before.version.epoch, sequence: before.version.sequence + 1 }
        next = { ...content, ...held, hash, version, changedAt: checkedAt, checkedAt }
      }
      stored.set(topic, next, { ttl: keep })
      bus.publish(topic, next)
      return next
    },

    async expire(topic) {
      const before = stored.get(topic)
      if (before !== undefined) stored.set(topic, { ...before, checkedAt: 0 }, { noUpdateTTL: true })
    },
  }
}
