import { compareVersions } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import type { Publication } from '../src/backend/ports.ts'
import { type Content, hashOf, type Stored } from '../src/entry.ts'
import { absence, content } from '../test/content.ts'
import { type Open, type Opened, withBackend } from './opened.ts'

const TOPIC = '/prices/SOL'
const KEEP = 60_000

/** What is to be forgotten while a test waits. */
const BRIEF = 2000

/** What every `Values` does, whatever keeps them. */
export function valuesContract(name: string, open: Open): void {
  describe(`values: ${name}`, () => {
    const run = (body: (opened: Opened) => Promise<void>) => withBackend(open, body)

    test(
      'a topic that nothing was published to has no value',
      run(async ({ backend }) => {
        expect(await backend.values.read(TOPIC)).toBeUndefined()
      }),
    )

    test(
      'what was published is read back whole',
      run(async ({ backend }) => {
        const published = await publishAs(backend, 'a', content({ price: 1 }))
        const read = await backend.values.read(TOPIC)
        expect(read).toEqual(published)
        expect(read?.json?.toString()).toBe('{"price":1}')
        expect(read?.reason).toBeUndefined()
      }),
    )

    test(
      'the sequence begins at 1 and moves only when the value does',
      run(async ({ backend }) => {
        const sequences: (number | undefined)[] = []
        for (const value of ['a', 'a', 'b', 'b', 'a']) {
          sequences.push((await publishAs(backend, 'node', content(value)))?.version.sequence)
        }
        expect(sequences).toEqual([1, 1, 2, 2, 3])
      }),
    )

    test(
      'an unchanged value keeps when it changed, and moves when it was checked',
      run(async ({ backend, advance }) => {
        const first = await publishAs(backend, 'a', content(1))
        await advance(700)
        const second = await publishAs(backend, 'a', content(1))
        expect(second?.version).toEqual(first?.version)
        expect(second?.changedAt).toBe(first?.changedAt)
        expect(second?.checkedAt).toBeGreaterThanOrEqual((first?.checkedAt ?? Number.NaN) + 700)
        expect(await backend.values.read(TOPIC)).toEqual(second)
      }),
    )

    test(
      'a changed value has changed when it was checked',
      run(async ({ backend, advance }) => {
        await publishAs(backend, 'a', content(1))
        await advance(700)
        const changed = await publishAs(backend, 'a', content(2))
        expect(changed?.changedAt).toBe(changed?.checkedAt)
      }),
    )

    test(
      'a content that is some time old was checked as long ago, and nothing older takes that back',
      run(async ({ backend, late }) => {
        const old = await publishAs(backend, 'a', content(1), { age: 5000 })
        const now = await publishAs(backend, 'a', content(1))
        const passed = (now?.checkedAt ?? 0) - (old?.checkedAt ?? 0)
        expect(passed).toBeGreaterThanOrEqual(5000)
        expect(passed).toBeLessThan(5500 + late)
        expect(old?.changedAt).toBe(old?.checkedAt)
        expect((await publishAs(backend, 'a', content(1), { age: 9000 }))?.checkedAt).toBe(now?.checkedAt)
        // Another value says for itself how old it is.
        const other = await publishAs(backend, 'a', content(2), { age: 9000 })
        expect(other?.checkedAt).toBeLessThan(now?.checkedAt ?? 0)
        expect(await backend.values.read(TOPIC)).toEqual(other)
      }),
    )

    test(
      'the moment of staleness is stored and published, and that of the last confirmation counts',
      run(async ({ backend, advance }) => {
        const heard: Stored[] = []
        const stop = backend.bus.subscribe(TOPIC, (message) => heard.push(message))
        await advance(200)
        const first = await publishAs(backend, 'a', content(1), { age: 1000, staleIn: 3000 })
        expect((first?.staleAt ?? 0) - (first?.checkedAt ?? 0)).toBe(4000)
        expect(await backend.values.read(TOPIC)).toEqual(first)
        const later = await publishAs(backend, 'a', content(1), { age: 10, staleIn: -1 })
        expect(later?.staleAt).toBeLessThan(first?.staleAt ?? 0)
        const older = await publishAs(backend, 'a', content(1), { age: 2000, staleIn: 9000 })
        expect(older?.staleAt).toBe(later?.staleAt)
        await advance(50)
        const plain = await publishAs(backend, 'a', content(1))
        expect(plain).not.toHaveProperty('staleAt')
        expect(await backend.values.read(TOPIC)).toEqual(plain)
        await advance(50)
        stop()
        expect(heard).toEqual([first, later, older, plain])
      }),
    )

    test(
      'absence is a version like any other, and a value takes its place',
      run(async ({ backend }) => {
        const absent = await publishAs(backend, 'a', absence('not priced', 5000))
        expect(absent).toMatchObject({ json: undefined, reason: 'not priced', absentFor: 5000 })
        const value = await publishAs(backend, 'a', content(1))
        expect(value?.version.sequence).toBe(2)
        expect(value?.reason).toBeUndefined()
        expect(value?.absentFor).toBeUndefined()
        const gone = await publishAs(backend, 'a', absence('delisted', 9000))
        expect(gone?.version.sequence).toBe(3)
        expect(await backend.values.read(TOPIC)).toMatchObject({ json: undefined, reason: 'delisted' })
      }),
    )

    test(
      'absence for the same reason is the same version, believed for as long as was said last',
      run(async ({ backend }) => {
        const first = await publishAs(backend, 'a', absence('not priced', 5000))
        const second = await publishAs(backend, 'a', absence('not priced', 60_000))
        expect(second?.version).toEqual(first?.version)
        expect(second?.absentFor).toBe(60_000)
      }),
    )

    test(
      'numbers beyond 2^53 and every character pass unharmed',
      run(async ({ backend }) => {
        const json = Buffer.from('{"rentEpoch":18446744073709551615,"name":"żółw 🐢 \\u0000"}')
        await publishAs(backend, 'a', { json, reason: undefined, absentFor: undefined })
        expect((await backend.values.read(TOPIC))?.json?.equals(json)).toBe(true)
      }),
    )

    test(
      'a large value comes back whole, and is received in its order among small ones',
      run(async ({ backend, advance }) => {
        const large = (size: number) =>
          content(Array.from({ length: size }, (_, index) => ({ index, price: 1 / index })))
        const heard: (number | undefined)[] = []
        const stop = backend.bus.subscribe(TOPIC, ({ json }) => heard.push(json?.byteLength))
        await advance(200)
        const sent: (number | undefined)[] = []
        for (const value of [content(1), large(20_000), content(2), large(200), content(3)]) {
          expect((await publishAs(backend, 'a', value))?.json).toEqual(value.json)
          expect((await backend.values.read(TOPIC))?.json).toEqual(value.json)
          sent.push(value.json?.byteLength)
        }
        await advance(100)
        stop()
        expect(heard).toEqual(sent)
      }),
    )

    test(
      'a late token is refused while another holds the lease, and changes nothing',
      run(async ({ backend, advance }) => {
        const late = await token(backend, 'sleeper', 100)
        await advance(150)
        const now = await token(backend, 'taker', 10_000)
        expect(await publish(backend, now, content('new'))).toBeDefined()
        const before = await backend.values.read(TOPIC)
        expect(await publish(backend, late, content('old'))).toBeUndefined()
        expect(await backend.values.read(TOPIC)).toEqual(before)
      }),
    )

    test(
      'a late token is refused also when the later holder has published and given the lease back',
      run(async ({ backend, advance }) => {
        const late = await token(backend, 'sleeper', 100)
        await advance(150)
        await publishAs(backend, 'taker', content('new'))
        expect(await publish(backend, late, content('old'))).toBeUndefined()
        expect((await backend.values.read(TOPIC))?.json?.toString()).toBe('"new"')
      }),
    )

    test(
      'the fence is raised when the lease is taken, not when its holder publishes',
      run(async ({ backend, advance }) => {
        const late = await token(backend, 'sleeper', 100)
        await advance(150)
        await token(backend, 'taker', 10_000)
        expect(await publish(backend, late, content('old'))).toBeUndefined()
        expect(await backend.values.read(TOPIC)).toBeUndefined()
      }),
    )

    test(
      'a refused publication is not sent to any listener',
      run(async ({ backend, advance }) => {
        const late = await token(backend, 'sleeper', 100)
        await advance(150)
        await token(backend, 'taker', 10_000)
        const heard: Stored[] = []
        const stop = backend.bus.subscribe(TOPIC, (message) => heard.push(message))
        await publish(backend, late, content('old'))
        await advance(50)
        stop()
        expect(heard).toEqual([])
      }),
    )

    test(
      'every publication reaches the listeners, also an unchanged one',
      run(async ({ backend, advance }) => {
        const heard: Stored[] = []
        const stop = backend.bus.subscribe(TOPIC, (message) => heard.push(message))
        // Until it listens: then it is told what there is, which is nothing yet.
        await advance(200)
        const sent = [await publishAs(backend, 'a', content(1)), await publishAs(backend, 'a', content(1))]
        await advance(50)
        stop()
        expect(heard).toEqual(sent)
      }),
    )

    test(
      'a value is forgotten when it was not published for as long as it is kept',
      run(async ({ backend, late, advance }) => {
        await publishAs(backend, 'a', content(1), { keep: BRIEF })
        await advance(BRIEF / 2)
        expect(await backend.values.read(TOPIC)).toBeDefined()
        await advance(BRIEF / 2 + 100 + late)
        expect(await backend.values.read(TOPIC)).toBeUndefined()
      }),
    )

    test(
      'a lost past begins a larger epoch, with the same value as with another',
      run(async ({ backend, advance }) => {
        const before = await publishAs(backend, 'a', content(1), { keep: BRIEF })
        await advance(BRIEF + 100)
        const after = await publishAs(backend, 'a', content(1))
        expect(after?.version.epoch).toBeGreaterThan(before?.version.epoch ?? Number.NaN)
        expect(after?.version.sequence).toBe(1)
      }),
    )

    test(
      'a node that saw a larger epoch than is kept gets a larger one still',
      run(async ({ backend }) => {
        const before = await publishAs(backend, 'a', content(1))
        const known = (before?.version.epoch ?? 0) + 3_600_000
        const after = await publishAs(backend, 'a', content(1), { knownEpoch: known })
        expect(after?.version.epoch).toBeGreaterThan(known)
        const next = await publishAs(backend, 'a', content(2), { knownEpoch: after?.version.epoch ?? 0 })
        expect(next?.version).toEqual({ epoch: after?.version.epoch, sequence: 2 })
      }),
    )

    test(
      'a node that saw a larger sequence than is kept begins an epoch: what was written last is lost',
      run(async ({ backend }) => {
        const { epoch = 0 } = (await publishAs(backend, 'a', content(1)))?.version ?? {}
        const seen = { knownEpoch: epoch, knownSequence: 3 }
        const changed = await publishAs(backend, 'a', content(2), seen)
        expect(changed?.version).toEqual({ epoch: expect.any(Number), sequence: 1 })
        expect(changed?.version.epoch).toBeGreaterThan(epoch)
        // Also when the value is what it was before what is lost.
        const again = await publishAs(backend, 'a', content(2), { ...seen, knownEpoch: changed?.version.epoch ?? 0 })
        expect(again?.version.epoch).toBeGreaterThan(changed?.version.epoch ?? Number.NaN)
        // Who knows less, or as much, goes on.
        const known = { knownEpoch: again?.version.epoch ?? 0, knownSequence: 1 }
        expect((await publishAs(backend, 'a', content(3), known))?.version).toEqual({ ...again?.version, sequence: 2 })
        expect((await publishAs(backend, 'a', content(4), known))?.version).toEqual({ ...again?.version, sequence: 3 })
      }),
    )

    test(
      'a lost past whose epoch a node still knows is larger than that, however the clocks stand',
      run(async ({ backend }) => {
        const known = Date.UTC(2100, 0, 1)
        const version = (await publishAs(backend, 'a', content(1), { knownEpoch: known }))?.version
        expect(version).toBeDefined()
        expect(compareVersions(version ?? { epoch: 0, sequence: 0 }, { epoch: known, sequence: 1e9 })).toBeGreaterThan(
          0,
        )
      }),
    )

    test(
      'what is expired was never checked, and goes on under its version when it is confirmed',
      run(async ({ backend }) => {
        await backend.values.expire(TOPIC)
        expect(await backend.values.read(TOPIC)).toBeUndefined()
        const before = await publishAs(backend, 'a', content(1))
        await backend.values.expire(TOPIC)
        expect(await backend.values.read(TOPIC)).toEqual({ ...before, checkedAt: 0 })
        const after = await publishAs(backend, 'a', content(1))
        expect(after?.version).toEqual(before?.version)
        expect(after?.checkedAt).toBeGreaterThanOrEqual(before?.checkedAt ?? Number.NaN)
      }),
    )

    test(
      'what is expired is kept no longer than it would have been',
      run(async ({ backend, advance }) => {
        await publishAs(backend, 'a', content(1), { keep: BRIEF })
        await advance(BRIEF / 2)
        await backend.values.expire(TOPIC)
        await advance(BRIEF / 2 + 100)
        expect(await backend.values.read(TOPIC)).toBeUndefined()
      }),
    )

    test(
      'absence for ever stays for ever',
      run(async ({ backend }) => {
        await publishAs(backend, 'a', absence('no such mint', Number.POSITIVE_INFINITY))
        expect((await backend.values.read(TOPIC))?.absentFor).toBe(Number.POSITIVE_INFINITY)
      }),
    )

    test(
      'a content with a version keeps it and its moments, whichever node holds the lease',
      run(async ({ backend }) => {
        await token(backend, 'somebody', 10_000)
        const taken = await publish(backend, 0, stamped('a', 7))
        expect(taken).toMatchObject({ version: { epoch: 5000, sequence: 7 }, changedAt: 1007, checkedAt: 2007 })
        expect(taken).not.toHaveProperty('stamp')
        expect(await backend.values.read(TOPIC)).toEqual(taken)
      }),
    )

    test(
      'of what comes with a version the larger is kept, in whatever order they come',
      run(async ({ backend }) => {
        await publish(backend, 0, stamped('b', 8))
        const before = await backend.values.read(TOPIC)
        expect(await publish(backend, 0, stamped('a', 7))).toEqual(before)
        expect(await backend.values.read(TOPIC)).toEqual(before)
        expect((await publish(backend, 0, stamped('d', 1, 6000)))?.version).toEqual({ epoch: 6000, sequence: 1 })
        expect((await publish(backend, 0, stamped('c', 99)))?.version).toEqual({ epoch: 6000, sequence: 1 })
      }),
    )

    test(
      'the same version again moves when it was checked, and never back',
      run(async ({ backend }) => {
        const first = await publish(backend, 0, stamped('a', 7))
        const { stamp, ...content } = stamped('a', 7)
        const again = (checkedAt: number) =>
          publish(backend, 0, { ...content, ...(stamp && { stamp: { ...stamp, changedAt: 1, checkedAt } }) })
        expect(await again(9000)).toEqual({ ...first, checkedAt: 9000 })
        expect(await again(8000)).toEqual({ ...first, checkedAt: 9000 })
      }),
    )

    test(
      'all versions are of one line of epochs, which has a name',
      run(async ({ backend, advance }) => {
        await backend.values.read(TOPIC)
        await advance(200)
        expect(backend.values.lineage).toMatch(/^[\w-]{8,}$/)
      }),
    )

    test(
      'a smaller version is taken over the lineage that it says was left, and what was left is old from then on',
      run(async ({ backend }) => {
        const heard: Stored[] = []
        const stop = backend.bus.subscribe(TOPIC, (stored) => heard.push(stored))
        const first = await publish(backend, 0, stamped('a', 7, 9000, { lineage: 'one' }))
        expect(first).toMatchObject({ lineage: 'one', hash: hashOf(content('a')) })
        await expect.poll(() => heard.length).toBeGreaterThan(0)
        // Of another lineage alone a smaller version is old.
        expect(await publish(backend, 0, stamped('b', 1, 5000, { lineage: 'two' }))).toMatchObject(first ?? {})
        expect(await publish(backend, 0, stamped('b', 1, 5000, { lineage: 'two', over: 'other' }))).toMatchObject(
          first ?? {},
        )
        const over = { lineage: 'two', over: 'one' }
        const second = await publish(backend, 0, stamped('b', 1, 5000, over))
        expect(second).toMatchObject({ version: { epoch: 5000, sequence: 1 }, ...over })
        expect(await backend.values.read(TOPIC)).toMatchObject({ version: { epoch: 5000, sequence: 1 }, ...over })
        const left = await publish(backend, 0, stamped('a', 9, 9000, { lineage: 'one' }))
        expect(left).toMatchObject({ version: { epoch: 5000, sequence: 1 }, lineage: 'two' })
        // That stays so while the other goes on.
        await publish(backend, 0, stamped('c', 2, 5000, { lineage: 'two' }))
        expect(await publish(backend, 0, stamped('a', 9, 9000, { lineage: 'one' }))).toMatchObject({ lineage: 'two' })
        expect(await backend.values.read(TOPIC)).toMatchObject({ version: { sequence: 2 }, ...over })
        // A reader that joins late may get the first one twice.
        const lines = () => [...new Set(heard.map(({ lineage, version }) => `${lineage} ${version.sequence}`))]
        await expect.poll(lines).toEqual(['one 7', 'two 1', 'two 2'])
        stop()
      }),
    )

    test(
      'topics do not meet',
      run(async ({ backend }) => {
        await publishAs(backend, 'a', content(1))
        expect(await backend.values.read(`${TOPIC}?depth=1`)).toBeUndefined()
      }),
    )
  })
}

type Ports = Opened['backend']

async function token(backend: Ports, owner: string, ttl: number): Promise<number> {
  const lease = await backend.leases.acquire(TOPIC, owner, ttl, 0)
  if (!lease.held) throw new Error(`expected the lease for ${owner}, got: held for ${lease.for} ms`)
  return lease.token
}

function publish(backend: Ports, token: number, content: Content, given: Partial<Publication> = {}) {
  return backend.values.publish(TOPIC, { token, knownEpoch: 0, hash: hashOf(content), content, keep: KEEP, ...given })
}

/** A content that comes with a version. */
function stamped(value: unknown, sequence: number, epoch = 5000, line: Pick<Stored, 'lineage' | 'over'> = {}): Content {
  const stamp = { version: { epoch, sequence }, changedAt: 1000 + sequence, checkedAt: 2000 + sequence, ...line }
  return { ...content(value), stamp }
}

/** Takes the lease, publishes, and gives it back, as a flight does. */
async function publishAs(backend: Ports, owner: string, content: Content, given: Partial<Publication> = {}) {
  const held = await token(backend, owner, 10_000)
  try {
    return await publish(backend, held, content, given)
  } finally {
    await backend.leases.release(TOPIC, owner, held)
  }
}
