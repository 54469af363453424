import { describe, expect, test } from 'vitest'
import { content } from '../../../test/content.ts'
import { ManualClock } from '../../../test/manual-clock.ts'
import { hashOf } from '../../entry.ts'
import { memoryBackend } from './backend.ts'

describe('values in memory', () => {
  const clock = new ManualClock()
  const { values, leases } = memoryBackend(clock, 20_000)

  async function publish(topic: string, value: unknown) {
    const lease = await leases.acquire(topic, 'node', 1000, 0)
    const token = lease.held ? lease.token : Number.NaN
    const made = content(value)
    const stored = await values.publish(topic, {
      token,
      knownEpoch: 0,
      hash: hashOf(made),
      content: made,
      keep: 60_000,
    })
    await leases.release(topic, 'node', token)
    return stored
  }

  test('what falls out for want of room begins a larger epoch when it returns, in the same millisecond too', async () => {
    const before = await publish('/first', 'x'.repeat(100))
    for (let i = 0; i < 100; i++) await publish(`/filler/${i}`, 'y'.repeat(1000))
    expect(await values.read('/first')).toBeUndefined()
    const after = await publish('/first', 'z')
    expect(after?.version.epoch).toBeGreaterThan(before?.version.epoch ?? Number.NaN)
  })

  test('the epoch rises also when the wall clock was set back between', async () => {
    const before = await publish('/clock', 1)
    clock.jump(-3_600_000)
    await clock.advance(60_001)
    const after = await publish('/clock', 1)
    expect(after?.version.epoch).toBeGreaterThan(before?.version.epoch ?? Number.NaN)
  })

  test('a value larger than all the room is handed on, but not kept', async () => {
    const stored = await publish('/huge', 'x'.repeat(50_000))
    expect(stored?.version.sequence).toBe(1)
    expect(await values.read('/huge')).toBeUndefined()
  })
})
