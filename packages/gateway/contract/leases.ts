import { describe, expect, test } from 'vitest'
import type { Leases } from '../src/backend/ports.ts'
import { type Open, type Opened, withBackend } from './opened.ts'

const NAME = '/prices/SOL'
const TTL = 1000

/** A time in which a real backend can be asked a few times, in milliseconds. */
const BRIEF = 2000

/** What every `Leases` does, wherever it keeps them. */
export function leasesContract(name: string, open: Open): void {
  describe(`leases: ${name}`, () => {
    const run = (body: (opened: Opened) => Promise<void>) => withBackend(open, body)

    test(
      'the first owner that asks holds it, and another learns for how long',
      run(async ({ backend: { leases }, advance }) => {
        await held(leases, 'a')
        await advance(400)
        const refused = await leases.acquire(NAME, 'b', TTL, 0)
        expect(refused.held).toBe(false)
        const left = refused.held ? Number.NaN : refused.for
        expect(left).toBeGreaterThan(0)
        expect(left).toBeLessThanOrEqual(600)
      }),
    )

    test(
      'what was given back is free at once',
      run(async ({ backend: { leases } }) => {
        await leases.release(NAME, 'a', await held(leases, 'a'))
        await held(leases, 'b')
      }),
    )

    test(
      'it is free when its time has passed',
      run(async ({ backend: { leases }, late, advance }) => {
        await held(leases, 'a')
        await advance(TTL + late + 1)
        await held(leases, 'b')
      }),
    )

    test(
      'the holder extends it, and no other owner does',
      run(async ({ backend: { leases }, late, advance }) => {
        const token = await held(leases, 'a')
        await advance(TTL / 2)
        await leases.renew(NAME, 'a', token, 2 * TTL)
        await advance(TTL + late + 1)
        expect((await leases.acquire(NAME, 'b', TTL, 0)).held).toBe(false)
        await leases.renew(NAME, 'b', token, BRIEF * 10)
        await leases.renew(NAME, 'a', token - 1, BRIEF * 10)
        await advance(TTL + late + 1)
        const next = await held(leases, 'b')
        await leases.renew(NAME, 'a', token, BRIEF * 10)
        await leases.release(NAME, 'b', next)
        await leases.renew(NAME, 'b', next, BRIEF * 10)
        await held(leases, 'c')
      }),
    )

    test(
      'every token is larger than all before it: taken again, after release, after its time, by another',
      run(async ({ backend: { leases }, advance }) => {
        const first = await held(leases, 'a')
        const again = await held(leases, 'a')
        await leases.release(NAME, 'a', again)
        const released = await held(leases, 'b')
        await advance(TTL + 1)
        const expired = await held(leases, 'c')
        const tokens = [first, again, released, expired]
        expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
      }),
    )

    test(
      'a token is larger than the largest that the asker has seen',
      run(async ({ backend: { leases } }) => {
        const known = 8_000_000_000_000_000
        expect(await held(leases, 'a', known)).toBeGreaterThan(known)
      }),
    )

    test.each([
      ['another owner', 'b', 0],
      ['an earlier token', 'a', -1],
      ['a later token', 'a', 1],
    ])('%s can not give it back', (_, owner, offset) =>
      run(async ({ backend: { leases } }) => {
        const token = await held(leases, 'a')
        await leases.release(NAME, owner, token + offset)
        expect((await leases.acquire(NAME, 'c', TTL, 0)).held).toBe(false)
      })(),
    )

    test(
      'a holder that slept through its time can not give back what another holds now',
      run(async ({ backend: { leases }, advance }) => {
        const late = await held(leases, 'a')
        await advance(TTL + 1)
        await held(leases, 'b')
        await leases.release(NAME, 'a', late)
        expect((await leases.acquire(NAME, 'c', TTL, 0)).held).toBe(false)
      }),
    )

    test(
      'names do not meet',
      run(async ({ backend: { leases } }) => {
        await held(leases, 'a')
        expect((await leases.acquire(`${NAME}/x`, 'b', TTL, 0)).held).toBe(true)
      }),
    )

    test(
      'of many who ask at once one holds it',
      run(async ({ backend: { leases } }) => {
        const all = await Promise.all(
          Array.from({ length: 50 }, (_, index) => leases.acquire(NAME, `n${index}`, TTL, 0)),
        )
        expect(all.filter((lease) => lease.held)).toHaveLength(1)
      }),
    )

    test(
      'a claim is one owner’s until its time is over, and another’s then',
      run(async ({ backend: { leases }, late, advance }) => {
        expect(await leases.claim('prices', ['a', 'b'], 'n1', BRIEF)).toEqual([true, true])
        expect(await leases.claim('prices', ['b', 'c'], 'n2', BRIEF)).toEqual([false, true])
        expect(await leases.claim('other', ['a'], 'n2', BRIEF)).toEqual([true])
        await advance(BRIEF / 2)
        // Said again, it lasts from then on.
        expect(await leases.claim('prices', ['a'], 'n1', BRIEF)).toEqual([true])
        await advance(BRIEF / 2 + late)
        expect(await leases.claim('prices', ['b'], 'n2', BRIEF)).toEqual([true])
        await advance(BRIEF / 2 + late)
        expect(await leases.claim('prices', ['a'], 'n2', BRIEF)).toEqual([true])
      }),
    )

    test(
      'who gives up a claim leaves it to others, and takes nothing of theirs',
      run(async ({ backend: { leases } }) => {
        await leases.claim('prices', ['a'], 'n1', 60_000)
        await leases.claim('prices', ['b'], 'n2', 60_000)
        expect(await leases.claim('prices', ['a', 'b'], 'n1', 0)).toEqual([true, false])
        expect(await leases.claim('prices', ['a', 'b'], 'n2', 60_000)).toEqual([true, true])
        expect(await leases.claim('prices', [], 'n1', 60_000)).toEqual([])
      }),
    )

    test(
      'of thousands of names each is answered in its place',
      run(async ({ backend: { leases } }) => {
        const names = Array.from({ length: 2500 }, (_, index) => `key ${index}`)
        await leases.claim('prices', ['key 7', 'key 2400'], 'n2', 60_000)
        const mine = await leases.claim('prices', names, 'n1', 60_000)
        expect(names.filter((_, index) => mine[index] === false)).toEqual(['key 7', 'key 2400'])
      }),
    )
  })
}

async function held(leases: Leases, owner: string, known = 0): Promise<number> {
  const lease = await leases.acquire(NAME, owner, TTL, known)
  if (!lease.held) throw new Error(`expected the lease for ${owner}, got: held for ${lease.for} ms`)
  return lease.token
}
