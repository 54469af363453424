import { describe, expect, test } from 'vitest'
import { ask } from '../../test/ask.ts'
import { absence, content, stored } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { memoryBackend } from '../backend/memory/backend.ts'
import type { Ask } from '../call.ts'
import { type Content, Entry, type Freshness, hashOf, type Stored } from '../entry.ts'
import { WeirError } from '../errors.ts'
import { type CacheParts, createCache } from './cache.ts'
import { createMemory } from './memory.ts'

const TOPIC = '/prices/SOL'

interface Asked {
  readonly ask: Ask
  answer(content: Content): Promise<void>
  fail(error: Error): Promise<void>
}

interface Given extends Partial<Freshness> {
  readonly bytes?: number
  readonly random?: () => number
}

/** By default fresh for 1 s and stale for 5 s more. */
function open({ bytes = 1_000_000, random = () => 0, ...given }: Given = {}) {
  const clock = new ManualClock()
  const { values, leases } = memoryBackend(clock, 1_000_000)
  const outcomes: string[] = []
  const asked: Asked[] = []
  const level = { stretch: 1, resting: false }
  const usual = { fresh: 1000, stale: 5000, staleIfError: 5000, spread: 0.1, asOf: undefined, tags: undefined }
  const freshness: Freshness = { ...usual, ...given }
  const memory = createMemory(bytes)
  const emit = (event: { type: string; outcome?: string }) => {
    if (event.outcome !== undefined) outcomes.push(event.outcome)
  }
  const parts: CacheParts = {
    feed: 'price',
    memory,
    values,
    clock,
    emit,
    freshness,
    stretch: () => level.stretch,
    resting: () => level.resting,
    random,
  }
  const cache = createCache(parts)

  async function publish(topic: string, made: Content): Promise<Stored> {
    const lease = await leases.acquire(topic, 'n', 1000, 0)
    const token = lease.held ? lease.token : Number.NaN
    const publication = { token, knownEpoch: 0, hash: hashOf(made), content: made, keep: 60_000 }
    const published = await values.publish(topic, publication)
    await leases.release(topic, 'n', token)
    if (published === undefined) throw new Error('expected to hold the lease')
    return published
  }

  const read = cache.stage((ask) => {
    const { promise, resolve, reject } = Promise.withResolvers<Stored>()
    asked.push({
      ask,
      answer: async (made) => {
        resolve(await publish(ask.topic, made))
        await clock.settle()
      },
      fail: async (error) => {
        reject(error)
        await clock.settle()
      },
    })
    return promise
  })

  /** Reads a topic, for which the upstream has this content. */
  async function load(made: Content): Promise<Entry> {
    const entry = read(ask())
    await clock.settle()
    await asked.at(-1)?.answer(made)
    return entry
  }

  return { clock, cache, read, load, asked, outcomes, level, memory, values, publish, parts }
}

const away = () => new WeirError('upstream_failed', 'away')
const codeOf = (error: { code: string }) => error.code

describe('a cache', () => {
  test('fetches a missing value, and then serves it without a promise', async () => {
    const { load, read, asked, outcomes } = open()
    const entry = await load(content({ price: 1 }))
    expect(entry.value).toEqual({ price: 1 })
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
    expect(outcomes).toEqual(['miss', 'hit'])
  })

  test('serves a fresh value to the last millisecond, and a stale one while it is refetched once', async () => {
    const { clock, load, read, asked, outcomes } = open()
    const entry = await load(content(1))
    await clock.advance(999)
    expect(read(ask())).toBe(entry)
    await clock.advance(1)
    for (let i = 0; i < 5; i++) expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(2)
    expect(outcomes.slice(1)).toEqual(['hit', 'stale', 'stale', 'stale', 'stale', 'stale'])
    await asked[1]?.answer(content(2))
    expect(await read(ask())).toMatchObject({ value: 2, version: { sequence: 2 } })
  })

  test('refetches independently of readers: one that leaves does not abort it', async () => {
    const { clock, load, read, asked } = open()
    await load(content(1))
    await clock.advance(1000)
    await read(ask({ signal: new AbortController().signal }))
    expect(asked[1]?.ask).toMatchObject({ signal: undefined, priority: 'live' })
  })

  test('keeps the entry of an unchanged value and makes it fresh again', async () => {
    const { clock, load, read, asked, cache } = open()
    const entry = await load(content(1))
    await clock.advance(1500)
    void read(ask())
    await asked[1]?.answer(content(1))
    expect(read(ask())).toBe(entry)
    expect(cache.left(entry)).toBe(1000)
    expect(entry.checkedAt).toBe(clock.now())
    expect(entry.changedAt).toBe(clock.now() - 1500)
  })

  test('serves a stale value while the upstream fails, and retries once a second', async () => {
    const { clock, load, read, asked } = open()
    const entry = await load(content(1))
    await clock.advance(1000)
    void read(ask())
    await asked[1]?.fail(away())
    for (let i = 0; i < 5; i++) expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(2)
    await clock.advance(1000)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(3)
  })

  test('throws the failure once the stale period is over', async () => {
    const { clock, load, read, asked } = open()
    await load(content(1))
    await clock.advance(5999)
    expect(read(ask())).toBeInstanceOf(Entry)
    await asked[1]?.fail(away())
    await clock.advance(1001)
    const refused = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[2]?.fail(away())
    expect(await refused).toBe('upstream_failed')
  })

  test('reuses a failure for a second, and no longer', async () => {
    const { clock, read, asked } = open()
    const first = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[0]?.fail(away())
    expect(await first).toBe('upstream_failed')
    await clock.advance(999)
    expect(await Promise.resolve(read(ask())).catch(codeOf)).toBe('upstream_failed')
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    void read(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
  })

  test('does not count an aborted reader as a failure for the next', async () => {
    const { clock, read, asked } = open()
    const controller = new AbortController()
    const left = Promise.resolve(read(ask({ signal: controller.signal }))).catch((error: Error) => error.message)
    await clock.settle()
    controller.abort(new Error('left'))
    await asked[0]?.fail(new Error('left'))
    expect(await left).toBe('left')
    void read(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
  })

  test('forgets a failure as soon as a value arrives', async () => {
    const { clock, read, asked, cache, publish } = open()
    const first = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[0]?.fail(away())
    await first
    cache.accept(TOPIC, {}, await publish(TOPIC, content(1)))
    expect(read(ask())).toMatchObject({ value: 1 })
  })

  test('calls the upstream on a refresh, even with a fresh value', async () => {
    const { load, read, asked, outcomes } = open()
    await load(content(1))
    const refreshed = read(ask({ refresh: true }))
    await asked[1]?.answer(content(2))
    expect((await refreshed).value).toBe(2)
    expect(outcomes).toEqual(['miss', 'refresh'])
  })

  test('uses a value that another node has fetched', async () => {
    const { read, asked, publish } = open()
    await publish(TOPIC, content('theirs'))
    expect((await read(ask())).value).toBe('theirs')
    expect(asked).toHaveLength(0)
  })

  test('serves an expired value of another node while the upstream fails', async () => {
    const { clock, read, asked, publish, memory } = open()
    const first = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[0]?.fail(away())
    await first
    await publish(TOPIC, content('theirs'))
    await clock.advance(1500)
    memory.failures.add(TOPIC, away(), clock)
    expect((await read(ask())).value).toBe('theirs')
    expect(asked).toHaveLength(1)
  })

  test('keeps values fresh for longer at a higher level', async () => {
    const { clock, load, read, level, asked } = open()
    const entry = await load(content(1))
    level.stretch = 3
    await clock.advance(2999)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
    level.stretch = 1
    void read(ask())
    expect(asked).toHaveLength(2)
  })

  test('is not affected by jumps of the wall clock', async () => {
    const { clock, load, read, asked } = open()
    const entry = await load(content(1))
    clock.jump(3_600_000)
    await clock.advance(999)
    expect(read(ask())).toBe(entry)
    clock.jump(-7_200_000)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
  })
})

describe('freshness', () => {
  test('has separate limits for refetching and for failures: stale-if-error may last longer', async () => {
    const { clock, load, read, asked } = open({ stale: 1000, staleIfError: 60_000 })
    const entry = await load(content(1))
    await clock.advance(2500)
    const answered = Promise.resolve(read(ask()))
    await clock.settle()
    await asked[1]?.fail(away())
    expect(await answered).toBe(entry)
    await clock.advance(58_499)
    const later = Promise.resolve(read(ask()))
    await clock.settle()
    await asked[2]?.fail(away())
    expect(await later).toBe(entry)
    await clock.advance(1001)
    const last = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[3]?.fail(away())
    expect(await last).toBe('upstream_failed')
  })

  test('ends with an error if no stale value is allowed, also while the upstream fails', async () => {
    const { clock, load, read, asked } = open({ stale: 0, staleIfError: 0 })
    await load(content(1))
    await clock.advance(1000)
    const answered = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    expect(asked).toHaveLength(2)
    await asked[1]?.fail(away())
    expect(await answered).toBe('upstream_failed')
  })

  test('is spread: keys that arrive together do not expire together', async () => {
    let next = 0
    const { clock, cache } = open({ spread: 0.2, random: () => (next++ % 100) / 100 })
    const entries = Array.from({ length: 100 }, (_, i) =>
      cache.accept(`/prices/${i}`, {}, stored(i, { checkedAt: clock.now() })),
    )
    const lefts = entries.map((entry) => cache.left(entry))
    expect(Math.max(...lefts)).toBe(1000)
    expect(Math.min(...lefts)).toBeCloseTo(802)
    await clock.advance(900)
    const fresh = entries.filter((entry) => cache.left(entry) > 0).length
    expect(fresh).toBeGreaterThan(40)
    expect(fresh).toBeLessThan(60)
  })

  test('counts from the time that the value states', async () => {
    const asOf = (value: unknown) => (value as { at: number }).at
    const { clock, load, read, asked, cache } = open({ fresh: 60_000, asOf })
    const entry = await load(content({ at: clock.now() - 55_000 }))
    expect(clock.monotonic() - entry.since).toBe(55_000)
    expect(cache.left(entry)).toBe(6000)
    await clock.advance(6000)
    void read(ask())
    expect(asked).toHaveLength(2)
  })

  test('of a value that is already old is a tenth: otherwise each reader would refetch it', async () => {
    const asOf = (value: unknown) => (value as { at: number }).at
    const { clock, load, read, asked } = open({ asOf })
    const entry = await load(content({ at: clock.now() - 3_600_000 }))
    expect(read(ask())).toBe(entry)
    await clock.advance(99)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    void read(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
  })

  test('is normal if the declaration throws', async () => {
    const fails = () => {
      throw new TypeError('no such field')
    }
    const { load, cache } = open({ asOf: fails, tags: fails })
    expect(cache.left(await load(content(1)))).toBe(1000)
  })
})

describe('a dropped value', () => {
  test('is not served, not even stale, and its version continues', async () => {
    const { load, read, asked, cache, clock } = open()
    const entry = await load(content(1))
    await cache.drop(TOPIC)
    const next = read(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
    await asked[1]?.answer(content(2))
    expect((await next).version).toEqual({ ...entry.version, sequence: 2 })
  })

  test('is not served while the upstream fails', async () => {
    const { load, read, asked, cache, clock } = open()
    await load(content(1))
    await cache.drop(TOPIC)
    const next = Promise.resolve(read(ask())).catch(codeOf)
    await clock.settle()
    await asked[1]?.fail(away())
    expect(await next).toBe('upstream_failed')
  })

  test('is fresh again under the same version once the upstream confirms it', async () => {
    const { load, read, asked, cache, clock } = open()
    const entry = await load(content(1))
    await cache.drop(TOPIC)
    const next = read(ask())
    await clock.settle()
    await asked[1]?.answer(content(1))
    expect(await next).toBe(entry)
    expect(read(ask())).toBe(entry)
  })

  test('is given to the waiters of a fetch under way, and to no later reader', async () => {
    const { read, asked, cache, clock } = open()
    const waiting = read(ask())
    await clock.settle()
    await cache.drop(TOPIC)
    await asked[0]?.answer(content('before'))
    expect((await waiting).value).toBe('before')
    const next = read(ask())
    await clock.settle()
    await asked[1]?.answer(content('after'))
    expect((await next).value).toBe('after')
  })

  test('is found by the tags of its latest value', async () => {
    const tags = (value: unknown) => (value as { tags: string[] }).tags
    const { cache, memory } = open({ tags })
    cache.accept('/a', {}, stored({ tags: ['meme', 'new'] }))
    cache.accept('/b', {}, stored({ tags: ['meme'] }))
    expect(cache.tagged('meme')).toEqual(['/a', '/b'])
    cache.accept('/a', {}, stored({ tags: ['old'] }, { sequence: 2 }))
    expect(cache.tagged('meme')).toEqual(['/b'])
    expect(cache.tagged('new')).toEqual([])
    expect(cache.tagged('old')).toEqual(['/a'])
    memory.entries.delete('/b')
    expect(cache.tagged('meme')).toEqual([])
  })

  test('does not affect another feed with the same tag', () => {
    const { cache, parts } = open({ tags: () => ['meme'] })
    const other = createCache({ ...parts, feed: 'other' })
    cache.accept('/a', {}, stored(1))
    other.accept('/b', {}, stored(1))
    expect(cache.tagged('meme')).toEqual(['/a'])
  })
})

describe('a suspended feed', () => {
  test('serves cached values and makes no calls', async () => {
    const { clock, load, read, asked, level } = open()
    const entry = await load(content(1))
    level.resting = true
    await clock.advance(3000)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
    expect(() => read(ask({ topic: '/prices/NEW' }))).toThrow(expect.objectContaining({ code: 'suspended' }))
    level.resting = false
    void read(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
  })
})

describe('absence', () => {
  test('for ever is never refetched, and still ends when a value arrives', async () => {
    const { clock, load, read, asked, cache, publish } = open()
    const entry = await load(absence('no such mint', Number.POSITIVE_INFINITY))
    await clock.advance(30 * 86_400_000)
    expect(read(ask())).toBe(entry)
    expect(entry.never).toBe(true)
    expect(asked).toHaveLength(1)
    cache.accept(TOPIC, {}, await publish(TOPIC, content(1)))
    expect(read(ask())).toMatchObject({ absent: false, never: false })
  })

  test('for ever and for now are different versions, whatever their reason', () => {
    expect(hashOf(absence('none', 1000))).not.toBe(hashOf(absence('none', Number.POSITIVE_INFINITY)))
    expect(hashOf(absence('none', 1000))).toBe(hashOf(absence('none', 2000)))
  })

  test('has its own lifetime, not that of values', async () => {
    const { clock, load, read, asked } = open()
    const entry = await load(absence('not priced', 3000))
    expect(entry).toMatchObject({ absent: true, value: undefined })
    await clock.advance(2999)
    expect(read(ask())).toBe(entry)
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    void read(ask())
    expect(asked).toHaveLength(2)
  })

  test('lasts longer once the upstream confirms it for longer', async () => {
    const { clock, load, read, asked, cache } = open()
    await load(absence('closed', 1000))
    await clock.advance(1000)
    void read(ask())
    await asked[1]?.answer(absence('closed', 60_000))
    const entry = await read(ask())
    expect(cache.left(entry)).toBe(60_000)
  })

  test('ends as soon as a value arrives', async () => {
    const { load, read, cache, publish } = open()
    await load(absence('not priced', 60_000))
    cache.accept(TOPIC, {}, await publish(TOPIC, content(1)))
    expect(read(ask())).toMatchObject({ absent: false, value: 1 })
  })
})

describe('a cached entry', () => {
  test('only becomes newer, whatever the order of arrival', async () => {
    const { cache } = open()
    const sequences = [2, 1, 4, 3].map((sequence) => {
      const kept = cache.accept(TOPIC, {}, stored(sequence, { sequence }))
      return kept.version.sequence
    })
    expect(sequences).toEqual([2, 2, 4, 4])
    expect(cache.accept(TOPIC, {}, stored('x', { version: { epoch: 2, sequence: 1 } })).value).toBe('x')
    expect(cache.accept(TOPIC, {}, stored('y', { version: { epoch: 1, sequence: 9 } })).value).toBe('x')
  })

  test('does not get older by a confirmation that arrives late', async () => {
    const { cache, clock } = open()
    const entry = cache.accept(TOPIC, {}, stored(1, { checkedAt: clock.now() }))
    cache.accept(TOPIC, {}, stored(1, { checkedAt: clock.now() - 800 }))
    expect(cache.left(entry)).toBe(1000)
  })

  test('is as old as on the node it came from', async () => {
    const { cache, clock } = open()
    expect(cache.left(cache.accept(TOPIC, {}, stored(1, { checkedAt: clock.now() - 800 })))).toBe(200)
    const ahead = cache.accept('/prices/JUP', {}, stored(1, { checkedAt: clock.now() + 5000 }))
    expect(cache.left(ahead)).toBe(1000)
  })

  test('is bounded in bytes', async () => {
    const { cache, memory } = open({ bytes: 100_000 })
    for (let i = 0; i < 1000; i++) cache.accept(`/prices/${i}`, {}, stored('x'.repeat(1000)))
    expect(memory.entries.calculatedSize).toBeLessThanOrEqual(100_000)
    expect(memory.entries.size).toBeGreaterThan(10)
    expect(cache.kept('/prices/999')).toBeDefined()
    expect(cache.kept('/prices/0')).toBeUndefined()
  })

  test('is returned but not stored if it is larger than the limit', async () => {
    const { cache, memory } = open({ bytes: 10_000 })
    expect(cache.accept(TOPIC, {}, stored('x'.repeat(20_000))).value).toHaveLength(20_000)
    expect(memory.entries.size).toBe(0)
  })

  test('cannot be changed by its readers', async () => {
    const { load } = open()
    const { value } = await load(content({ levels: [{ price: 1 }] }))
    const { levels } = value as { levels: { price: number }[] }
    expect(() => levels.push({ price: 2 })).toThrow(TypeError)
    expect(() => Object.assign(levels[0] ?? {}, { price: 2 })).toThrow(TypeError)
    expect(() => Object.assign(value as object, { levels: [] })).toThrow(TypeError)
  })
})
