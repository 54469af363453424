import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { content } from '../../../test/content.ts'
import { ManualClock } from '../../../test/manual-clock.ts'
import { jsonWire, Recorder } from '../../../test/recorder.ts'
import { memoryBackend } from '../../backend/memory/backend.ts'
import { createMemory } from '../../cache/memory.ts'
import type { WeirEvent } from '../../events.ts'
import { createHub } from '../../hub/hub.ts'
import { providerPath, readPath, requestPath } from '../../pipeline.ts'
import { type HttpCall, http } from '../../upstream/http.ts'
import { absent, type FeedOptions, feed, never } from './feed.ts'
import { FeedRuntime } from './feed-runtime.ts'

/** A live feed with everything below it but the network: its loader is a plain function. */
function open(given: Partial<FeedOptions<{ mint: z.ZodString }, z.ZodNumber, HttpCall>> = {}) {
  const clock = new ManualClock()
  const start = clock.monotonic()
  const events: WeirEvent[] = []
  const emit = (event: WeirEvent) => void events.push(event)
  const calls: { mints: readonly string[]; at: number }[] = []
  const upstream = { prices: {} as Record<string, number>, hangs: false, fails: false }
  const source = given.from ?? http({ name: 'jupiter', url: 'http://127.0.0.1:1' })
  const declared = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string() },
    value: z.number(),
    from: source,
    fresh: '1s',
    stale: '30s',
    spread: 0,
    live: { every: '1s', linger: '5s' },
    load: {
      within: '0ms',
      many: async (keys) => {
        calls.push({ mints: keys.map(({ mint }) => mint), at: clock.monotonic() - start })
        if (upstream.hangs) return new Promise(() => {})
        if (upstream.fails) throw new Error('away')
        return keys.map(({ mint }) =>
          mint === 'NONE' ? never('no such mint') : (upstream.prices[mint] ?? absent('not priced', { for: '1s' })),
        )
      },
    },
    ...given,
  })
  const level = { strained: false }
  const backend = memoryBackend(clock, 1_000_000)
  const parts = { backend, clock, emit, node: 'n', stretch: () => 1, strained: () => level.strained }
  const requests = requestPath(source, [providerPath(source, parts)], parts)
  const path = readPath(declared.plan, requests, createMemory(1_000_000), parts)
  const hub = createHub({ clock, emit, level: () => 'normal', heartbeat: 10_000 })
  const live = new FeedRuntime({
    plan: declared.plan,
    path,
    hub,
    bus: backend.bus,
    leases: backend.leases,
    node: 'n1',
    dropped: (what) => live.drops(what),
    clock,
    emit,
    stretch: () => 1,
    random: () => 0.5,
  })
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
  const read = async (mint: string) => live.read(key(mint), { client: 'c', signal: undefined })
  return { clock, events, calls, upstream, live, backend, watch, watchAll, key, read, level }
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

describe('more watched than the budget can bear', () => {
  test('is asked for in as many calls as watched values may have, and all of it moves', async () => {
    const calls: { mints: readonly string[]; at: number }[] = []
    const limits = [{ calls: 10, per: '1s' }] as const
    const { clock, watch } = open({
      from: http({ name: 'scarce', url: 'http://127.0.0.1:1', limits, pastUsage: 'none' }),
      live: { every: '1s', maxInterval: '20s' },
      load: {
        within: '0ms',
        batch: 2,
        many: async (keys) => {
          calls.push({ mints: keys.map(({ mint }) => mint), at: clock.monotonic() })
          return keys.map(() => calls.length)
        },
      },
    })
    const mints = Array.from({ length: 100 }, (_, i) => `M${i}`)
    watch(...mints)
    await clock.advance(1000)
    calls.length = 0
    await clock.advance(60_000)
    // 80 % of 10 calls a second, in full batches.
    expect(calls.length).toBeLessThanOrEqual(8 * 60)
    expect(calls.length).toBeGreaterThan(7 * 60)
    expect(calls.every((call) => call.mints.length === 2)).toBe(true)
    for (const mint of mints) {
      const times = calls.filter((call) => call.mints.includes(mint)).map(({ at }) => at)
      expect(times.length).toBeGreaterThan(6)
    }
  })
})

describe('what is absent', () => {
  test('is not asked for while its absence is believed', async () => {
    const { clock, calls, watch } = open({
      load: {
        one: async ({ mint }) => {
          calls.push({ mints: [mint], at: clock.monotonic() })
          return absent('not priced', { for: '10s' })
        },
      },
    })
    watch('NEW')
    await clock.advance(25_000)
    expect(calls).toHaveLength(3)
  })

  test('for ever is asked for once, and the poller goes on for the others', async () => {
    const { clock, calls, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    watch('NONE')
    await clock.advance(5000)
    expect(calls).toHaveLength(1)
    watch('SOL')
    await clock.advance(3000)
    expect(calls.slice(1).flatMap(({ mints }) => mints)).toEqual(['SOL', 'SOL', 'SOL', 'SOL'])
  })
})

describe('who reads what is watched', () => {
  test('gets what the watchers see, and nothing is asked for it', async () => {
    const { clock, calls, upstream, watch, read } = open()
    upstream.prices = { SOL: 1 }
    watch('SOL')
    await clock.advance(1999)
    const asked = calls.length
    expect(await read('SOL')).toMatchObject({ value: 1 })
    expect(calls).toHaveLength(asked)
  })

  test('is told why, when the watchers see it grow stale', async () => {
    const { clock, upstream, watch, read } = open({ stale: '0ms' })
    upstream.prices = { SOL: 1 }
    watch('SOL')
    await clock.advance(1500)
    upstream.fails = true
    await clock.advance(8600)
    await expect(read('SOL')).rejects.toMatchObject({ code: 'upstream_failed' })
  })

  test('asks the upstream when the value may never be served beyond its freshness', async () => {
    const { clock, calls, upstream, watch, read } = open({ mustRevalidate: true, fresh: '100ms' })
    upstream.prices = { SOL: 1 }
    watch('SOL')
    await clock.advance(500)
    upstream.prices = { SOL: 2 }
    const answered = read('SOL')
    await clock.advance(0)
    expect(await answered).toMatchObject({ value: 2 })
    expect(calls).toHaveLength(2)
  })
})

describe('what is dropped', () => {
  test('is fetched anew at once for those who watch', async () => {
    const { clock, upstream, watch, live } = open({ live: { every: '1m' } })
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1000)
    upstream.prices = { SOL: 2 }
    await live.drop({ mint: 'SOL' }, undefined)
    await clock.advance(0)
    expect(values(recorder)).toEqual([1, 2])
  })

  test('by a tag is all that has it', async () => {
    const { clock, calls, upstream, live, read } = open({ fresh: '1m', tags: (_, { mint }) => [mint.slice(0, 1)] })
    upstream.prices = { SA: 1, SB: 2, J: 3 }
    const all = () => Promise.all(['SA', 'SB', 'J'].map(read))
    const first = all()
    await clock.advance(0)
    await first
    expect(await live.dropTagged('S')).toBe(2)
    expect(await live.dropTagged('X')).toBe(0)
    const second = all()
    await clock.advance(0)
    await second
    expect(calls.at(-1)?.mints).toEqual(['SA', 'SB'])
  })
})

describe('what is warmed', () => {
  test('is there before anybody asks, and costs one call', async () => {
    const { clock, calls, upstream, live, read } = open({ prewarm: [{ mint: 'SOL' }, { mint: 'JUP' }], fresh: '1m' })
    upstream.prices = { SOL: 1, JUP: 2 }
    live.prewarm()
    await clock.advance(0)
    expect(calls).toEqual([{ mints: ['SOL', 'JUP'], at: 0 }])
    expect(await read('JUP')).toMatchObject({ value: 2 })
    expect(calls).toHaveLength(1)
  })

  test('that fails harms nobody', async () => {
    const { clock, upstream, live, events } = open({ prewarm: [{ mint: 'SOL' }] })
    upstream.fails = true
    live.prewarm()
    await clock.advance(0)
    expect(events.filter(({ type }) => type === 'failed')).toHaveLength(1)
  })

  test('comes from a file, which must be a list of keys', () => {
    const file = (text: string) => {
      const url = pathToFileURL(join(mkdtempSync(join(tmpdir(), 'weir-')), 'keys.json'))
      writeFileSync(url, text)
      return open({ prewarm: url }).live
    }
    expect(() => file('[{"mint":"SOL"}]').prewarm()).not.toThrow()
    expect(() => file('{"mint":"SOL"}').prewarm()).toThrow(/prewarm: expected a file with a JSON list of keys, got/)
    expect(() => file('[').prewarm()).toThrow(/prewarm: expected a file with a JSON list of keys/)
    expect(() => file('[{"token":1}]').prewarm()).toThrow(/prewarm\[0\]: expected mint/)
  })
})

describe('a feed that is not essential', () => {
  test('rests while the gateway is strained: serves what it has, asks for nothing, and goes on afterwards', async () => {
    const { clock, calls, upstream, watch, read, level } = open({ essential: false })
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1500)
    level.strained = true
    const asked = calls.length
    await clock.advance(10_000)
    expect(calls).toHaveLength(asked)
    expect(values(recorder)).toEqual([1, 'stale'])
    expect(await read('SOL')).toMatchObject({ value: 1 })
    await expect(read('JUP')).rejects.toMatchObject({ code: 'suspended' })
    level.strained = false
    upstream.prices = { SOL: 2 }
    await clock.advance(1000)
    expect(values(recorder).slice(2)).toEqual(expect.arrayContaining([2]))
  })

  test('that is essential goes on', async () => {
    const { clock, calls, upstream, watch, level } = open()
    upstream.prices = { SOL: 1 }
    watch('SOL')
    level.strained = true
    await clock.advance(3000)
    expect(calls).toHaveLength(4)
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

  test('is called stale at once to who comes back to an old one', async () => {
    const { clock, upstream, watch } = open()
    upstream.prices = { SOL: 1 }
    watch('SOL').leave()
    await clock.advance(60_000)
    upstream.hangs = true
    const recorder = watch('SOL')
    await clock.advance(0)
    expect(values(recorder)).toEqual([1, 'stale'])
  })

  test('stays stale while an upstream that hangs fails each asking at its deadline', async () => {
    const { clock, upstream, watch, events } = open({ deadline: '3s' })
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(1500)
    upstream.hangs = true
    await clock.advance(60_000)
    expect(values(recorder).filter((value) => value !== 'heartbeat')).toContain('stale')
    expect(events.filter(({ type }) => type === 'topic.stale')).toMatchObject([{ stale: true }])
  })

  test('is called stale as soon, when another node has asked for it for long', async () => {
    const { clock, upstream, watch, backend } = open()
    upstream.prices = { SOL: 1 }
    const recorder = watch('SOL')
    await clock.advance(500)
    const topic = '/prices/SOL'
    for (let round = 0; round < 30; round++) {
      await backend.leases.claim('/prices/:mint', [topic], 'n2', 2200)
      const lease = await backend.leases.acquire(topic, 'n2', 1000, 0)
      if (!lease.held) throw new Error('expected the lease')
      await backend.values.publish(topic, {
        token: lease.token,
        knownEpoch: 0,
        hash: String(round),
        content: content(round),
        keep: 60_000,
      })
      await backend.leases.release(topic, 'n2', lease.token)
      await clock.advance(1000)
    }
    upstream.hangs = true
    await clock.advance(4000)
    expect(values(recorder).slice(-2)).toEqual([29, 'stale'])
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

test('who listens to everything is not told a version again when a topic is watched again, and a newcomer is told it', async () => {
  const { clock, upstream, watch, watchAll } = open({ live: { every: '1s', linger: '0ms' } })
  upstream.prices = { SOL: 1 }
  const all = watchAll()
  const one = watch('SOL')
  await clock.advance(1500)
  one.close()
  await clock.advance(3000)
  const again = watch('SOL')
  await clock.advance(1500)
  const told = (recorder: Recorder) => recorder.heard.filter(({ type }) => type === 'snapshot').length
  expect([told(all), told(again)]).toEqual([1, 1])
  again.close()
  await clock.advance(3000)
  const later = watchAll()
  watch('SOL')
  await clock.advance(1500)
  expect(told(later)).toBe(1)
})
