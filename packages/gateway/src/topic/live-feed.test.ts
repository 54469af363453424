import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ManualClock } from '../../test/manual-clock.ts'
import { jsonWire, Recorder } from '../../test/recorder.ts'
import { memoryBackend } from '../backend/memory/backend.ts'
import { createMemory } from '../cache/cache.ts'
import type { WeirEvent } from '../events.ts'
import { createHub } from '../hub/hub.ts'
import { providerPath, readPath, requestPath } from '../pipeline.ts'
import { http } from '../upstream/http.ts'
import { absent, feed } from './feed.ts'
import { LiveFeed } from './live-feed.ts'

/** A live feed with everything below it but the network: its loader is a plain function. */
function open() {
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const emit = (event: WeirEvent) => void events.push(event)
  const calls: { mints: readonly string[]; at: number }[] = []
  const upstream = { prices: {} as Record<string, number>, hangs: false, fails: false }
  const declared = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string() },
    value: z.number(),
    from: http({ name: 'jupiter', url: 'http://127.0.0.1:1' }),
    fresh: '1s',
    stale: '30s',
    live: { every: '1s', linger: '5s' },
    load: {
      within: '0ms',
      many: async (keys) => {
        calls.push({ mints: keys.map(({ mint }) => mint), at: clock.monotonic() - start })
        if (upstream.hangs) return new Promise(() => {})
        if (upstream.fails) throw new Error('away')
        return keys.map(({ mint }) => upstream.prices[mint] ?? absent('not priced', { for: '1s' }))
      },
    },
  })
  const backend = memoryBackend(clock, 1_000_000)
  const parts = { backend, clock, emit, node: 'n', stretch: () => 1 }
  const { upstream: source } = declared.plan
  const requests = requestPath(source, [providerPath(source, parts)], parts)
  const path = readPath(declared.plan, requests, createMemory(1_000_000), parts)
  const hub = createHub({ clock, emit, level: () => 'normal', heartbeat: 10_000 })
  const live = new LiveFeed({ plan: declared.plan, path, hub, bus: backend.bus, clock, emit, stretch: () => 1 })
  const wire = jsonWire()
  const key = (mint: string) => declared.plan.keys.fromParts({ mint })
  const watch = (...mints: string[]) => {
    const recorder = new Recorder()
    const listener = hub.listen(recorder, wire)
    for (const mint of mints) live.watch(listener, key(mint), undefined)
    return recorder
  }
  const watchAll = (...always: string[]) => {
    const recorder = new Recorder()
    live.watchAll(hub.listen(recorder, wire), always.map(key))
    return recorder
  }
  return { clock, events, calls, upstream, live, backend, watch, watchAll, key }
}

const values = (recorder: Recorder) => recorder.heard.map(({ type, value, stale }) => value ?? (stale ? 'stale' : type))

describe('a live feed', () => {
  test('asks for nothing while nothing is watched', async () => {
    const { clock, calls } = open()
    await clock.advance(60_000)
    expect(calls).toEqual([])
    expect(clock.timers).toBe(0)
  })

  test('gets a value for the first who watches at once, and then every interval, in one call for all keys', async () => {
    const { clock, calls, upstream, watch } = open()
    upstream.prices = { SOL: 1, JUP: 2 }
    watch('SOL', 'JUP')
    await clock.advance(3000)
    expect(calls).toEqual([0, 1000, 2000, 3000].map((at) => ({ mints: ['SOL', 'JUP'], at })))
  })

  test('asks the same however many watch', async () => {
    const { clock, calls, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    const watchers = Array.from({ length: 500 }, () => watch('SOL'))
    await clock.advance(3000)
    expect(calls).toHaveLength(4)
    expect(watchers.every((recorder) => recorder.heard.filter(({ type }) => type === 'snapshot').length === 1)).toBe(
      true,
    )
  })

  test('tells every change, and nothing while nothing changes', async () => {
    const { clock, upstream, watch, events } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(3000)
    upstream.prices = { SOL: 2 }
    await clock.advance(3000)
    expect(values(recorder)).toEqual([1, 2])
    expect(events.filter(({ type }) => type === 'topic.changed')).toHaveLength(2)
  })

  test('tells absence, and the value that comes', async () => {
    const { clock, upstream, watch } = open()
    const recorder = watch('NEW')
    await clock.advance(1500)
    upstream.prices = { NEW: 1 }
    await clock.advance(1500)
    expect(values(recorder)).toEqual(['absent', 1])
  })

  test('keeps a value moving for the linger time after the last left, and then lets it go', async () => {
    const { clock, calls, upstream, watch, live } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(2000)
    recorder.leave()
    await clock.advance(5000)
    const asked = calls.length
    expect(asked).toBeGreaterThanOrEqual(7)
    expect(live.watched).toBe(0)
    await clock.advance(60_000)
    expect(calls).toHaveLength(asked)
    expect(clock.timers).toBe(0)
  })

  test('who comes back within the linger time costs nothing', async () => {
    const { clock, calls, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    watch('SOL').leave()
    await clock.advance(2500)
    const before = calls.length
    const recorder = watch('SOL')
    await clock.settle()
    expect(values(recorder)[0]).toBe(1)
    expect(calls).toHaveLength(before)
  })

  test('hears what another node has published', async () => {
    const { clock, backend, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(0)
    upstream.hangs = true
    const lease = await backend.leases.acquire('/prices/SOL', 'other', 1000, 0)
    const content = { json: Buffer.from('7'), reason: undefined, absentFor: undefined }
    const token = lease.held ? lease.token : Number.NaN
    await backend.values.publish('/prices/SOL', { token, knownEpoch: 0, hash: 'h', content, keep: 60_000 })
    await clock.advance(0)
    expect(values(recorder)).toEqual([1, 7])
  })

  test('stopped asks no more', async () => {
    const { clock, calls, upstream, watch, live } = open()
    upstream.prices = { SOL: 1 }
    watch('SOL')
    await clock.advance(1500)
    live.stop()
    const asked = calls.length
    await clock.advance(9000)
    expect(calls).toHaveLength(asked)
  })
})

describe('a value that can not be confirmed', () => {
  test('is called stale while the upstream hangs, and again fresh when it has answered', async () => {
    const { clock, upstream, watch, events } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1500)
    upstream.hangs = true
    await clock.advance(5000)
    expect(values(recorder)).toEqual([1, 'stale'])
    upstream.hangs = false
    await clock.advance(60_000)
    expect(values(recorder).slice(-1)).toEqual(['heartbeat'])
    expect(events.filter(({ type }) => type === 'topic.stale')).toMatchObject([{ stale: true }, { stale: false }])
  })

  test('is called stale while the upstream fails, and fresh at once when it is confirmed', async () => {
    const { clock, upstream, watch, events } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1500)
    upstream.fails = true
    await clock.advance(6000)
    expect(values(recorder)).toEqual([1, 'stale'])
    upstream.fails = false
    await clock.advance(1000)
    expect(values(recorder)).toEqual([1, 'stale', 'heartbeat'])
    expect(events.filter(({ type }) => type === 'topic.stale')).toMatchObject([{ stale: true }, { stale: false }])
  })

  test('is not called stale for one missed round', async () => {
    const { clock, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1500)
    upstream.fails = true
    await clock.advance(1000)
    upstream.fails = false
    await clock.advance(3000)
    expect(values(recorder)).toEqual([1])
  })
})

describe('a failure', () => {
  test('is told once while there is no value, and not when there is one', async () => {
    const { clock, upstream, watch } = open()
    upstream.fails = true
    const recorder = watch('SOL')
    await clock.advance(4000)
    expect(values(recorder)).toEqual(['error'])
    Object.assign(upstream, { fails: false, prices: { SOL: 1 } })
    await clock.advance(1000)
    expect(values(recorder)).toEqual(['error', 1])
    upstream.fails = true
    await clock.advance(2000)
    expect(values(recorder)).toEqual(['error', 1])
  })
})

describe('who watches everything', () => {
  test('hears what others watch, and moves only what is always watched', async () => {
    const { clock, calls, upstream, watch, watchAll, live } = open()
    upstream.prices = { SOL: 1, JUP: 2, BONK: 3 }
    const one = watch('JUP')
    await clock.advance(0)
    const all = watchAll('SOL')
    await clock.advance(0)
    watch('BONK')
    await clock.advance(0)
    expect(values(all).sort()).toEqual([1, 2, 3])
    expect(values(one)).toEqual([2])
    expect(live.watched).toBe(3)
    one.leave()
    await clock.advance(20_000)
    expect(calls.at(-1)?.mints).toEqual(['SOL', 'BONK'])
    all.leave()
    await clock.advance(20_000)
    expect(calls.at(-1)?.mints).toEqual(['BONK'])
  })
})
