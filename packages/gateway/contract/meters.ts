import { describe, expect, test } from 'vitest'
import type { Grant, Meter, MeterLimit, MeterPlan } from '../src/backend/ports.ts'
import { type Open, type Opened, withBackend } from './opened.ts'

const PER_ACCOUNT: MeterLimit = { limit: 3, window: 1000, by: 'account' }
const PER_KEY: MeterLimit = { limit: 2, window: 1000, by: 'key' }

/** What every `Meters` does, wherever it counts. Windows are exact: counted from the answer, and never from the clock. */
export function metersContract(name: string, open: Open): void {
  describe(`meters: ${name}`, () => {
    const run = (body: (opened: Opened) => Promise<void>) => withBackend(open, body)

    test(
      'a whole limit is granted at once, and not one call more',
      run(async ({ backend }) => {
        const meter = opened(backend)
        const { granted, wait } = await meter.acquire(wants(5))
        expect(granted).toHaveLength(3)
        // A backend of many nodes does not learn of the end of each call: it says when to ask again.
        expect(wait ?? Number.POSITIVE_INFINITY).toBeGreaterThan(0)
        expect(new Set(granted.map(({ id }) => id)).size).toBe(3)
      }),
    )

    test(
      'a place comes free one window after its call was over, and not before',
      run(async ({ backend, late, advance }) => {
        const meter = opened(backend)
        const grants = await take(meter, 3)
        await advance(400)
        meter.release(the(grants[0]))
        const { wait } = await meter.acquire(wants(1))
        expect(wait).toBeGreaterThan(0)
        expect(wait).toBeLessThanOrEqual(1000)
        await advance(990 - late)
        expect(await take(meter, 1)).toHaveLength(0)
        await advance(15 + late)
        expect(await take(meter, 2)).toHaveLength(1)
      }),
    )

    test(
      'a call that goes on keeps its place, however long',
      run(async ({ backend, advance }) => {
        const meter = opened(backend)
        await take(meter, 3)
        await advance(4000)
        expect((await meter.acquire(wants(1))).granted).toHaveLength(0)
      }),
    )

    test(
      'a call that was never started gives its place back at once',
      run(async ({ backend }) => {
        const meter = opened(backend)
        const grants = await take(meter, 3)
        meter.cancel(the(grants[1]))
        expect(await take(meter, 2)).toHaveLength(1)
      }),
    )

    test(
      'a paused meter grants nothing until the pause is over',
      run(async ({ backend, late, advance }) => {
        const meter = opened(backend)
        meter.pause(5000, undefined)
        const { granted, wait } = await meter.acquire(wants(1))
        expect(granted).toHaveLength(0)
        expect(wait).toBeGreaterThan(4000)
        expect(wait).toBeLessThanOrEqual(5000)
        await advance(4900 - late)
        expect(await take(meter, 1)).toHaveLength(0)
        await advance(150 + late)
        expect(await take(meter, 5)).toHaveLength(3)
      }),
    )

    test(
      'a second pause extends the first, and a shorter one does not shorten it',
      run(async ({ backend, late, advance }) => {
        const meter = opened(backend)
        meter.pause(2000, undefined)
        meter.pause(500, undefined)
        await advance(1900 - late)
        expect(await take(meter, 1)).toHaveLength(0)
        meter.pause(2000, undefined)
        await advance(1900 - late)
        expect(await take(meter, 1)).toHaveLength(0)
        await advance(150 + late)
        expect(await take(meter, 1)).toHaveLength(1)
      }),
    )

    test.each([
      ['with limits', [PER_ACCOUNT]],
      ['without', []],
    ])('a pause of a lane is of that lane only, and the longest pause holds, in a meter %s', (_, limits) =>
      run(async ({ backend, late, advance }) => {
        const meter = opened(backend, { limits })
        const lanes = async (...lanes: readonly string[]) => {
          const { granted, wait } = await meter.acquire(lanes.map((lane) => ({ priority: 'live', cost: 1, lane })))
          for (const grant of granted) meter.cancel(grant)
          return [granted.map(({ lane }) => lane), wait] as const
        }
        meter.pauseLane(5000, 'a')
        meter.pauseLane(1000, 'a')
        const [granted, wait] = await lanes('a', 'b', 'a', 'c')
        expect(granted).toEqual(['b', 'c'])
        expect(wait).toBeGreaterThan(4000)
        expect(wait).toBeLessThanOrEqual(5000)
        await advance(4900 - late)
        expect((await lanes('a', ''))[0]).toEqual([''])
        await advance(150 + late)
        expect((await lanes('a', 'b'))[0]).toEqual(['a', 'b'])
      })(),
    )

    test(
      'every one of several windows holds',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, {
          limits: [
            { limit: 2, window: 100, by: 'account' },
            { limit: 3, window: 1000, by: 'account' },
          ],
        })
        const first = await take(meter, 5)
        expect(first).toHaveLength(2)
        for (const grant of first) meter.release(grant)
        await advance(110)
        const second = await take(meter, 5)
        expect(second).toHaveLength(1)
        meter.release(the(second[0]))
        await advance(110)
        const { granted, wait } = await meter.acquire(wants(1))
        expect(granted).toHaveLength(0)
        expect(wait).toBeGreaterThan(600)
        await advance(800)
        expect(await take(meter, 5)).toHaveLength(2)
      }),
    )

    test(
      "many keys do not multiply an account's limit",
      run(async ({ backend }) => {
        expect(await take(opened(backend, { keys: 4 }), 20)).toHaveLength(3)
      }),
    )

    test(
      'each key has its own limit, and all are spread over the keys in turn',
      run(async ({ backend }) => {
        const meter = opened(backend, { limits: [PER_KEY], keys: 3 })
        const grants = await take(meter, 20)
        expect(grants).toHaveLength(6)
        expect([0, 1, 2].map((key) => grants.filter((grant) => grant.key === key).length)).toEqual([2, 2, 2])
        expect(new Set(grants.slice(0, 3).map(({ key }) => key)).size).toBe(3)
      }),
    )

    test(
      'an account and its keys are counted beside each other',
      run(async ({ backend }) => {
        expect(await take(opened(backend, { limits: [PER_ACCOUNT, PER_KEY], keys: 2 }), 20)).toHaveLength(3)
        const single = backend.meters.open('single', { limits: [PER_ACCOUNT, PER_KEY], keys: 1, pastUsage: 'none' })
        expect(await take(single, 20)).toHaveLength(2)
      }),
    )

    test(
      'a paused key is not used while the others are',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, { limits: [PER_KEY], keys: 2 })
        meter.pause(5000, 0)
        expect((await take(meter, 9)).map(({ key }) => key)).toEqual([1, 1])
        await advance(5050)
        expect((await take(meter, 9)).map(({ key }) => key)).toEqual([0, 0])
      }),
    )

    test(
      'costs are counted, and a grant gives back what it cost',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, { limits: [{ limit: 10, window: 1000, by: 'account' }] })
        const [large] = await take(meter, 1, 7)
        expect(await take(meter, 1, 4)).toHaveLength(0)
        const [small] = await take(meter, 1, 3)
        meter.release(the(small))
        meter.release(the(large))
        await advance(1010)
        expect(await take(meter, 1, 10)).toHaveLength(1)
      }),
    )

    test(
      'wants are granted in their order: a small one does not pass a large one that waits',
      run(async ({ backend }) => {
        const meter = opened(backend, { limits: [{ limit: 10, window: 1000, by: 'account' }] })
        const { granted } = await meter.acquire([
          { priority: 'interactive', cost: 6 },
          { priority: 'interactive', cost: 6 },
          { priority: 'background', cost: 1 },
        ])
        expect(granted.map(({ cost }) => cost)).toEqual([6])
      }),
    )

    test(
      'with an unknown past nothing is granted for one window, and then everything',
      run(async ({ backend, late, advance }) => {
        const meter = opened(backend, { pastUsage: 'unknown' })
        const { granted, wait } = await meter.acquire(wants(1))
        expect(granted).toHaveLength(0)
        expect(wait).toBeGreaterThanOrEqual(1000)
        expect(wait).toBeLessThanOrEqual(2000)
        await advance(990 - late)
        expect(await take(meter, 1)).toHaveLength(0)
        await advance(1050 + late)
        expect(await take(meter, 5)).toHaveLength(3)
      }),
    )

    test(
      'without limits everything is granted at once, whatever the past',
      run(async ({ backend }) => {
        expect(await take(opened(backend, { limits: [], pastUsage: 'unknown' }), 1000)).toHaveLength(1000)
      }),
    )

    test(
      'the true cost counts from the end of a call: what it cost less is free at once, what it cost more counts for a window',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, { limits: [{ limit: 10, window: 1000, by: 'account' }] })
        const [less] = await take(meter, 1, 8)
        meter.release(the(less), 2)
        expect(await take(meter, 1, 9)).toHaveLength(0)
        const [more] = await take(meter, 1, 8)
        meter.release(the(more), 20)
        await advance(700)
        expect(await take(meter, 1)).toHaveLength(0)
        await advance(310)
        expect(await take(meter, 1, 10)).toHaveLength(1)
      }),
    )

    test(
      'a cost that fits into no window of its lane never starts; calls before it do, and other lanes take more',
      run(async ({ backend }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 100, window: 1000, by: 'account' },
          { limit: 1, window: 1000, by: 'account', counts: 'calls', lane: 'large' },
          { limit: 5, window: 1000, by: 'account', lane: 'small' },
        ]
        const meter = opened(backend, { limits })
        const cost = (cost: number, lane: string) => ({ priority: 'interactive', cost, lane }) as const
        expect((await meter.acquire([cost(5, 'small'), cost(6, 'small')])).granted).toHaveLength(1)
        expect(await meter.acquire([cost(6, 'small')])).toMatchObject({ granted: [], never: 'too large' })
        expect(await meter.acquire([cost(101, 'large')])).toMatchObject({ granted: [], never: 'too large' })
        expect((await meter.acquire([cost(95, 'large')])).granted).toHaveLength(1)
      }),
    )

    test(
      'lanes have limits of their own, and a full lane holds up no other',
      run(async ({ backend }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 9, window: 1000, by: 'account' },
          { limit: 1, window: 1000, by: 'account', lane: 'search' },
          { limit: 3, window: 1000, by: 'account', lane: '*' },
        ]
        const meter = opened(backend, { limits })
        const lanes = async (...lanes: readonly string[]) => {
          const { granted } = await meter.acquire(lanes.map((lane) => ({ priority: 'live', cost: 1, lane })))
          return granted.map(({ lane }) => lane)
        }
        expect(await lanes('search', 'search', 'a', 'search', 'a')).toEqual(['search', 'a', 'a'])
        expect(await lanes('a', 'a', 'b', 'b', 'b', 'b')).toEqual(['a', 'b', 'b', 'b'])
        expect(await lanes('c', 'c', 'c', 'c')).toEqual(['c', 'c'])
      }),
    )

    test(
      'lanes that come and go leave nothing behind, and their limits hold while they count',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, { limits: [{ limit: 1, window: 300, by: 'account', lane: '*' }] })
        const lane = (lane: string) => ({ priority: 'live', cost: 1, lane }) as const
        for (let i = 0; i < 3; i++) {
          const { granted } = await meter.acquire(
            Array.from({ length: 40 }, (_, index) => lane(`method ${i}/${index}`)),
          )
          expect(granted).toHaveLength(40)
          for (const grant of granted) meter.release(grant)
          expect((await meter.acquire([lane(`method ${i}/0`)])).granted).toHaveLength(0)
        }
        await advance(310)
        expect((await meter.acquire([lane('method 0/0')])).granted).toHaveLength(1)
      }),
    )

    test(
      'an exhausted key is not used, and if all are exhausted there is nothing to wait for',
      run(async ({ backend }) => {
        const meter = opened(backend, { limits: [PER_KEY], keys: 2 })
        meter.exhaustKey(0)
        expect((await take(meter, 9)).map(({ key }) => key)).toEqual([1, 1])
        meter.exhaustKey(1)
        expect(await meter.acquire(wants(1))).toMatchObject({ granted: [], never: 'exhausted' })
      }),
    )

    test(
      'an exhausted key is tried by one call after its time, and used again if that was not refused',
      run(async ({ backend, late, advance }) => {
        const spentFor = 1000 + late
        const meter = opened(backend, { limits: [{ limit: 100, window: 100, by: 'key' }], spentFor })
        const [first] = await take(meter, 1)
        meter.exhaustKey(0)
        meter.release(the(first))
        expect(await meter.acquire(wants(1))).toMatchObject({ granted: [], never: 'exhausted' })
        await advance(spentFor + late + 50)
        const [probe, ...others] = await take(meter, 5)
        expect(others).toHaveLength(0)
        // Still so: another time passes.
        meter.exhaustKey(0)
        meter.release(the(probe))
        await advance(late + 50)
        expect(await take(meter, 5)).toHaveLength(0)
        await advance(spentFor + 50)
        const [again, ...more] = await take(meter, 5)
        expect(more).toHaveLength(0)
        meter.release(the(again))
        await advance(200 + late)
        expect(await take(meter, 5)).toHaveLength(5)
      }),
    )

    test(
      'a refusal shrinks the limits once, and they recover by the shortest window',
      run(async ({ backend, advance }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 20, window: 100, by: 'account' },
          { limit: 1000, window: 60_000, by: 'account' },
        ]
        const meter = opened(backend, { limits })
        meter.backOff()
        meter.backOff()
        const shrunk = await take(meter, 30)
        expect(shrunk).toHaveLength(14)
        for (const grant of shrunk) meter.release(grant)
        await advance(1100)
        expect(await take(meter, 30)).toHaveLength(20)
      }),
    )

    test(
      'paced starts are spread over the window, with no burst in it',
      run(async ({ backend, advance }) => {
        const limits: readonly MeterLimit[] = [{ limit: 10, window: 4000, by: 'account' }]
        const meter = opened(backend, { limits, pace: true })
        // The first makes up for one that could have started before.
        expect((await take(meter, 10)).length).toBeLessThanOrEqual(2)
        await advance(350)
        expect((await take(meter, 10)).length).toBeLessThanOrEqual(2)
        await advance(350)
        expect(await take(meter, 10)).toHaveLength(1)
      }),
    )

    test(
      'what the upstream says is left leaves room for others, and is forgotten after a window',
      run(async ({ backend, advance }) => {
        const meter = opened(backend, { limits: [{ limit: 20, window: 1000, by: 'account' }] })
        const used = await take(meter, 5)
        meter.syncRemaining({ calls: 8 }, 0)
        expect(await take(meter, 20)).toHaveLength(8)
        for (const grant of used) meter.cancel(grant)
        await advance(1100)
        expect(await take(meter, 20)).toHaveLength(12)
      }),
    )

    test(
      'what is left is of the longest window that counts every call, and not of tokens nor lanes beside it',
      run(async ({ backend }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 9, window: 1000, by: 'account', counts: 'calls' },
          { limit: 20, window: 2000, by: 'account', counts: 'calls' },
          { limit: 90_000, window: 3000, by: 'account' },
          { limit: 30, window: 4000, by: 'account', counts: 'calls', lane: '*' },
        ]
        const meter = opened(backend, { limits })
        meter.syncRemaining({ calls: 4 }, 0)
        const want = { priority: 'live', cost: 10_000, lane: 'search' } as const
        expect((await meter.acquire([want, want, want, want, want, want])).granted).toHaveLength(4)
      }),
    )

    test(
      'where only tokens are counted, what is left is of them',
      run(async ({ backend }) => {
        const meter = opened(backend, { limits: [{ limit: 90_000, window: 1000, by: 'account' }] })
        meter.syncRemaining({ calls: 25_000 }, 0)
        expect(await take(meter, 6, 10_000)).toHaveLength(2)
      }),
    )

    test(
      'calls and costs that are left are each of the longest window that counts them',
      run(async ({ backend }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 50, window: 1000, by: 'account', counts: 'calls' },
          { limit: 100, window: 2000, by: 'account', counts: 'calls' },
          { limit: 90_000, window: 1500, by: 'account' },
          { limit: 200_000, window: 2500, by: 'account' },
        ]
        const both = opened(backend, { limits })
        both.syncRemaining({ calls: 60, cost: 30_000 }, 0)
        expect(await take(both, 9, 10_000)).toHaveLength(3)
        const calls = backend.meters.open('calls', { limits, keys: 1, pastUsage: 'none' })
        calls.syncRemaining({ calls: 4, cost: 180_000 }, 0)
        expect(await take(calls, 9, 10_000)).toHaveLength(4)
      }),
    )

    test(
      'what is left of costs alone says nothing of calls, and of calls nothing of costs beside them',
      run(async ({ backend }) => {
        const limits: readonly MeterLimit[] = [
          { limit: 8, window: 1000, by: 'account', counts: 'calls' },
          { limit: 90_000, window: 1000, by: 'account' },
        ]
        const costs = opened(backend, { limits })
        costs.syncRemaining({ cost: 50_000 }, 0)
        expect(await take(costs, 9, 10_000)).toHaveLength(5)
        const calls = backend.meters.open('calls', { limits, keys: 1, pastUsage: 'none' })
        calls.syncRemaining({ calls: 6 }, 0)
        expect(await take(calls, 9, 10_000)).toHaveLength(6)
      }),
    )

    test(
      "what is left of one key is not of another's",
      run(async ({ backend }) => {
        const meter = opened(backend, { limits: [{ limit: 20, window: 1000, by: 'key' }], keys: 2 })
        meter.syncRemaining({ calls: 0 }, 0)
        expect(new Set((await take(meter, 30)).map(({ key }) => key))).toEqual(new Set([1]))
      }),
    )

    test(
      'a long window of unknown past is probed at once, one call at a time, until an answer says what is left',
      run(async ({ backend }) => {
        const meter = opened(backend, {
          limits: [{ limit: 1000, window: 60_000, by: 'account' }],
          pastUsage: 'unknown',
        })
        const [probe, ...others] = await take(meter, 9)
        expect(others).toEqual([])
        const { granted, wait } = await meter.acquire(wants(9))
        expect(granted).toEqual([])
        expect(wait).toBeGreaterThan(0)
        expect(wait).toBeLessThanOrEqual(1000)
        meter.release(the(probe))
        const [second] = await take(meter, 1)
        meter.syncRemaining({ calls: 7 }, 0)
        meter.release(the(second))
        expect(await take(meter, 9)).toHaveLength(7)
      }),
    )

    test(
      'one upstream has one meter, however often it is opened',
      run(async ({ backend }) => {
        await take(opened(backend), 2)
        expect(await take(opened(backend), 5)).toHaveLength(1)
        const other = backend.meters.open('other', { limits: [PER_ACCOUNT], keys: 1, pastUsage: 'none' })
        expect(await take(other, 5)).toHaveLength(3)
      }),
    )
  })
}

function opened({ meters }: Opened['backend'], plan: Partial<MeterPlan> = {}): Meter {
  return meters.open('upstream', { limits: [PER_ACCOUNT], keys: 1, pastUsage: 'none', timeout: 500, ...plan })
}

function wants(count: number, cost = 1) {
  return Array.from({ length: count }, () => ({ priority: 'interactive', cost }) as const)
}

async function take(meter: Meter, count: number, cost = 1): Promise<readonly Grant[]> {
  return (await meter.acquire(wants(count, cost))).granted
}

function the(grant: Grant | undefined): Grant {
  if (grant === undefined) throw new Error('expected a grant, got none')
  return grant
}
