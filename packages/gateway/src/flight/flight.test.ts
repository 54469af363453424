import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ask } from '../../test/ask.ts'
import { content } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { memoryBackend } from '../backend/memory/backend.ts'
import type { Ask } from '../call.ts'
import type { Content, Stored } from '../entry.ts'
import { WeirError } from '../errors.ts'
import type { WeirEvent } from '../events.ts'
import { arrival, flight } from './flight.ts'

interface Asked {
  readonly ask: Ask
  answer(value: unknown): void
  fail(error: Error): void
}

function open() {
  const clock = new ManualClock()
  const { leases, values, bus } = memoryBackend(clock, 1_000_000)
  const events: WeirEvent[] = []
  const asked: Asked[] = []
  const parts = {
    feed: 'price',
    leases,
    values,
    bus,
    clock,
    emit: (event: WeirEvent) => void events.push(event),
    keep: 60_000,
    known: (topic: string) => values.read(topic) as Stored | undefined,
  }
  const below = (ask: Ask) => {
    const { promise, resolve, reject } = Promise.withResolvers<Content>()
    asked.push({ ask, answer: (value) => resolve(content(value)), fail: reject })
    return promise
  }
  const fly = flight({ ...parts, node: 'n1' })(below)
  const aborts = () => asked.map(({ ask }) => ask.signal?.aborted)
  return { clock, leases, values, events, asked, aborts, fly, parts, below }
}

const text = (stored: Stored) => stored.json?.toString()
const reason = (error: Error) => error.message
const WAITERS = 10_000

describe('a flight', () => {
  test('is one call for 10,000 waiters', async () => {
    const { clock, fly, asked, events } = open()
    const answers = Array.from({ length: WAITERS }, () => fly(ask({ signal: new AbortController().signal })))
    await clock.settle()
    expect(asked).toHaveLength(1)
    asked[0]?.answer(1)
    const got = await Promise.all(answers)
    expect(new Set(got).size).toBe(1)
    expect(text(got[0] as Stored)).toBe('1')
    expect(events.at(-1)).toMatchObject({ type: 'flight.joined', waiters: WAITERS })
  })

  test('fails 10,000 waiters with one call and the same error', async () => {
    const { clock, fly, asked } = open()
    const answers = Array.from({ length: WAITERS }, () => fly(ask()).catch((error: unknown) => error))
    await clock.settle()
    const failure = new Error('away')
    asked[0]?.fail(failure)
    expect(new Set(await Promise.all(answers))).toEqual(new Set([failure]))
    expect(asked).toHaveLength(1)
  })

  test('ends with its answer: a later caller starts a new call', async () => {
    const { clock, fly, asked } = open()
    const first = fly(ask())
    await clock.settle()
    asked[0]?.answer(1)
    await first
    const second = fly(ask())
    await clock.settle()
    asked[1]?.answer(2)
    expect(text(await second)).toBe('2')
  })

  test('ends with its failure too', async () => {
    const { clock, fly, asked } = open()
    const first = fly(ask()).catch(reason)
    await clock.settle()
    asked[0]?.fail(new Error('away'))
    expect(await first).toBe('away')
    void fly(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
  })

  test('continues when its first waiter leaves', async () => {
    const { clock, fly, asked, aborts } = open()
    const leaver = new AbortController()
    const left = fly(ask({ signal: leaver.signal })).catch(reason)
    const stayed = fly(ask({ signal: new AbortController().signal }))
    await clock.settle()
    leaver.abort(new Error('left'))
    expect(await left).toBe('left')
    expect(aborts()).toEqual([false])
    asked[0]?.answer(1)
    expect(text(await stayed)).toBe('1')
  })

  test('is aborted when its last waiter leaves', async () => {
    const { clock, fly, aborts, events } = open()
    const controllers = Array.from({ length: 3 }, () => new AbortController())
    const answers = controllers.map(({ signal }) => fly(ask({ signal })).catch(reason))
    await clock.settle()
    for (const controller of controllers.slice(0, 2)) controller.abort(new Error('left'))
    expect(aborts()).toEqual([false])
    controllers[2]?.abort(new Error('left last'))
    expect(await Promise.all(answers)).toEqual(['left', 'left', 'left last'])
    expect(aborts()).toEqual([true])
    expect(events.filter(({ type }) => type === 'flight.aborted')).toHaveLength(1)
  })

  test('is never aborted while a waiter without a signal is left', async () => {
    const { clock, fly, asked, aborts } = open()
    const leaver = new AbortController()
    const stayed = fly(ask())
    const left = fly(ask({ signal: leaver.signal })).catch(reason)
    await clock.settle()
    leaver.abort(new Error('left'))
    await left
    expect(aborts()).toEqual([false])
    asked[0]?.answer(1)
    expect(text(await stayed)).toBe('1')
  })

  test('that is being aborted accepts no waiter: a new one starts its own call', async () => {
    const { clock, fly, asked, aborts } = open()
    const leaver = new AbortController()
    const left = fly(ask({ signal: leaver.signal })).catch(reason)
    await clock.settle()
    leaver.abort(new Error('left'))
    const newcomer = fly(ask())
    await clock.settle()
    expect(aborts()).toEqual([true, false])
    asked[0]?.fail(new Error('aborted'))
    await clock.settle()
    const another = fly(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
    asked[1]?.answer(1)
    expect([await left, text(await newcomer), text(await another)]).toEqual(['left', '1', '1'])
  })

  test('that completes after it was abandoned does not overwrite a later one', async () => {
    const { clock, fly, asked, values } = open()
    const leaver = new AbortController()
    fly(ask({ signal: leaver.signal })).catch(reason)
    await clock.settle()
    leaver.abort()
    const newcomer = fly(ask())
    await clock.settle()
    asked[1]?.answer('new')
    await newcomer
    asked[0]?.answer('old')
    await clock.settle()
    expect(text((await values.read('/prices/SOL')) as Stored)).toBe('"new"')
  })

  test('a caller that has already aborted fails with its reason', async () => {
    const { fly } = open()
    expect(await fly(ask({ signal: AbortSignal.abort(new Error('left')) })).catch(reason)).toBe('left')
  })

  test('a waiter that leaves with its answer aborts nothing', async () => {
    const { clock, fly, asked, aborts, events } = open()
    const controller = new AbortController()
    const next = fly(ask({ signal: controller.signal })).then(() => {
      // Like a connection that closes after its answer, while another caller already fetches again.
      const again = fly(ask())
      controller.abort()
      return again
    })
    await clock.settle()
    asked[0]?.answer(1)
    await clock.settle()
    void fly(ask())
    await clock.settle()
    expect(asked).toHaveLength(2)
    expect(events.filter(({ type }) => type === 'flight.aborted')).toEqual([])
    expect(aborts()).toEqual([false, false])
    asked[1]?.answer(2)
    expect(text(await next)).toBe('2')
  })

  test('is as urgent as the most urgent of all its waiters so far', async () => {
    const { clock, fly, asked } = open()
    void fly(ask({ priority: 'live' }))
    await clock.settle()
    const { urgency } = asked[0]?.ask ?? {}
    const heard: string[] = []
    urgency?.onRaise((priority) => heard.push(priority))
    void fly(ask({ priority: 'background' }))
    void fly(ask({ priority: 'interactive' }))
    void fly(ask({ priority: 'live' }))
    expect([urgency?.priority, heard, asked.length]).toEqual(['interactive', ['interactive'], 1])
  })

  test('different topics are different calls', async () => {
    const { clock, fly, asked } = open()
    void fly(ask({ topic: '/prices/SOL' }))
    void fly(ask({ topic: '/prices/JUP' }))
    await clock.settle()
    expect(asked).toHaveLength(2)
  })

  test('releases its lease after an answer or a failure', async () => {
    const { clock, fly, asked, leases } = open()
    for (const end of ['answer', 'fail'] as const) {
      const answer = fly(ask()).catch(reason)
      await clock.settle()
      expect((await leases.acquire('/prices/SOL', 'other', 1, 0)).held).toBe(false)
      asked.at(-1)?.[end](new Error('over'))
      await answer
      const lease = await leases.acquire('/prices/SOL', 'other', 1, 0)
      expect(lease.held).toBe(true)
      if (lease.held) await leases.release('/prices/SOL', 'other', lease.token)
    }
  })
})

describe('deadlines of waiters', () => {
  const late = (code: 'over_budget' | 'upstream_timeout') => new WeirError(code, 'out of time')
  const code = (error: WeirError) => error.code ?? String(error)

  test('a waiter with less time than the call leaves alone at its deadline', async () => {
    const { clock, fly, asked, aborts } = open()
    const now = clock.monotonic()
    const patient = fly(ask({ deadline: now + 1000 }))
    const hurried = fly(ask({ deadline: now + 300 })).catch(code)
    let left: unknown
    void hurried.then((outcome) => {
      left = outcome
    })
    await clock.advance(299)
    expect(left).toBeUndefined()
    await clock.advance(1)
    expect(left).toBe('upstream_timeout')
    expect(aborts()).toEqual([false])
    asked[0]?.answer(1)
    expect(text(await patient)).toBe('1')
    expect(clock.timers).toBe(0)
  })

  test('the last waiter whose deadline passes aborts the call', async () => {
    const { clock, fly, aborts } = open()
    const now = clock.monotonic()
    const leaver = new AbortController()
    const first = fly(ask({ deadline: now + 1000, signal: leaver.signal })).catch(reason)
    const hurried = fly(ask({ deadline: now + 300 })).catch(code)
    leaver.abort(new Error('left'))
    await clock.advance(300)
    expect([await first, await hurried]).toEqual(['left', 'upstream_timeout'])
    expect(aborts()).toEqual([true])
  })

  test.each(['over_budget', 'upstream_timeout'] as const)(
    'when the first has no time left (%s), those who have go on together in one more call',
    async (failure) => {
      const { clock, fly, asked } = open()
      const now = clock.monotonic()
      const first = fly(ask({ deadline: now + 300 })).catch(code)
      const others = Array.from({ length: 1000 }, (_, index) => fly(ask({ deadline: now + 1000 + index })))
      const equal = fly(ask({ deadline: now + 300 })).catch(code)
      await clock.advance(300)
      asked[0]?.fail(late(failure))
      expect([await first, await equal]).toEqual([failure, failure])
      await clock.settle()
      expect(asked.map(({ ask }) => ask.deadline - now)).toEqual([300, 1999])
      asked[1]?.answer(1)
      expect(new Set((await Promise.all(others)).map(text))).toEqual(new Set(['1']))
    },
  )

  test('each waiter keeps its deadline in the second call, and all fail if that fails too', async () => {
    const { clock, fly, asked } = open()
    const now = clock.monotonic()
    const outcomes = [300, 500, 1000, 2000].map((time) => fly(ask({ deadline: now + time })).catch(code))
    await clock.advance(300)
    asked[0]?.fail(late('over_budget'))
    await clock.advance(200)
    expect(await outcomes[1]).toBe('upstream_timeout')
    asked[1]?.fail(late('over_budget'))
    expect(await Promise.all(outcomes)).toEqual(['over_budget', 'upstream_timeout', 'over_budget', 'over_budget'])
    expect(asked).toHaveLength(2)
  })

  test('a failure for another reason than time fails all waiters', async () => {
    const { clock, fly, asked } = open()
    const now = clock.monotonic()
    const outcomes = [300, 1000].map((time) => fly(ask({ deadline: now + time })).catch(code))
    await clock.settle()
    asked[0]?.fail(new WeirError('upstream_failed', 'away'))
    expect(await Promise.all(outcomes)).toEqual(['upstream_failed', 'upstream_failed'])
    expect(asked).toHaveLength(1)
  })

  test('a waiter that left does not join the second call', async () => {
    const { clock, fly, asked } = open()
    const now = clock.monotonic()
    const leaver = new AbortController()
    const first = fly(ask({ deadline: now + 300 })).catch(code)
    const left = fly(ask({ deadline: now + 1000, signal: leaver.signal })).catch(reason)
    await clock.settle()
    leaver.abort(new Error('left'))
    asked[0]?.fail(late('over_budget'))
    await clock.settle()
    expect([await first, await left]).toEqual(['over_budget', 'left'])
    expect(asked).toHaveLength(1)
  })
})

describe('10,000 waiters of one key are one call', () => {
  const controllers = () => Array.from({ length: WAITERS }, () => new AbortController())

  test.each([
    ['that is slow', 9000],
    ['of which nothing may be kept', 1],
  ])('%s', async (_, took) => {
    const { clock, fly, asked } = open()
    const deadline = clock.monotonic() + 10_000
    const answers = controllers().map(({ signal }) => fly(ask({ deadline, signal, refresh: true })))
    await clock.advance(took)
    asked[0]?.answer(1)
    expect(new Set(await Promise.all(answers)).size).toBe(1)
    expect(asked).toHaveLength(1)
  })

  test('that fails for lack of time: one more call for those who have time left', async () => {
    const { clock, fly, asked } = open()
    const now = clock.monotonic()
    const answers = controllers().map(({ signal }, index) =>
      fly(ask({ deadline: now + 1000 + (index % 100), signal })).catch((error: unknown) => error),
    )
    await clock.settle()
    for (const failure of [0, 1]) {
      asked[failure]?.fail(new WeirError('over_budget', 'full'))
      await clock.settle()
    }
    expect(asked).toHaveLength(2)
    expect(new Set(await Promise.all(answers)).size).toBe(2)
  })

  test('whose first leaves', async () => {
    const { clock, fly, asked, aborts } = open()
    const all = controllers()
    const answers = all.map(({ signal }) => fly(ask({ signal })).catch(reason))
    await clock.settle()
    all[0]?.abort(new Error('left'))
    asked[0]?.answer(1)
    const [first, ...rest] = await Promise.all(answers)
    expect(first).toBe('left')
    expect(rest.every((got) => typeof got !== 'string' && text(got) === '1')).toBe(true)
    expect(aborts()).toEqual([false])
  })

  test('who all leave', async () => {
    const { clock, fly, aborts } = open()
    const all = controllers()
    const answers = all.map(({ signal }) => fly(ask({ signal })).catch(reason))
    await clock.settle()
    for (const controller of all) controller.abort(new Error('left'))
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['left']))
    expect(aborts()).toEqual([true])
  })
})

describe('values with an order', () => {
  const order = (value: unknown) => (value as { slot: number | bigint }).slot

  test('only rise, fetched on any node or pushed; equal ones are accepted', async () => {
    const News = fc.record({
      slot: fc.integer({ min: 0, max: 9 }),
      node: fc.constantFrom('n1', 'n2'),
      pushed: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(News, { maxLength: 12 }), async (all) => {
        const { clock, asked, values, parts, below } = open()
        let highest = -1
        for (const [count, { slot, node, pushed }] of all.entries()) {
          const one = { ...parts, node, order }
          const value = { slot, count }
          if (pushed) {
            await arrival(one)('/prices/SOL', content(value))
          } else {
            const answer = flight(one)(below)(ask()).catch((error: unknown) => error)
            await clock.settle()
            asked.shift()?.answer(value)
            const older = slot < highest
            expect(await answer).toMatchObject(older ? { code: 'upstream_failed' } : { json: expect.anything() })
          }
          const kept = JSON.parse(text((await values.read('/prices/SOL')) as Stored) ?? '')
          expect(kept).toEqual(slot >= highest ? value : expect.objectContaining({ slot: highest }))
          highest = kept.slot
        }
      }),
    )
  })

  test('may be bigints, and any value replaces a dropped or missing one', async () => {
    const { values, parts } = open()
    const arrived = arrival({ ...parts, node: 'n1', order })
    const come = async (given: Content) => text((await arrived('/prices/SOL', given)) as Stored)
    const slot = (value: bigint): Content => ({ ...content(0), json: Buffer.from(`{"slot":${value}}`) })
    expect(await come(slot(2n ** 64n))).toBe('{"slot":18446744073709551616}')
    expect(await come(slot(2n ** 64n - 1n))).toBe('{"slot":18446744073709551616}')
    await values.expire('/prices/SOL')
    expect(await come(slot(3n))).toBe('{"slot":3}')
    expect(await come({ ...content(0), json: undefined, reason: 'gone' })).toBeUndefined()
    expect(await come(slot(2n))).toBe('{"slot":2}')
  })

  test('are accepted as they arrive if an order cannot be read, with an event', async () => {
    const { events, parts } = open()
    const arrived = arrival({ ...parts, node: 'n1', order })
    await arrived('/prices/SOL', content({ slot: 2 }))
    expect(text((await arrived('/prices/SOL', content(null))) as Stored)).toBe('null')
    expect(events).toMatchObject([{ type: 'failed', where: 'price: order' }])
  })
})

describe('flights of two nodes', () => {
  test('while one fetches, the other serves the cached value', async () => {
    const { clock, fly, asked, parts, below } = open()
    const other = flight({ ...parts, node: 'n2', known: () => undefined })(below)
    const first = fly(ask())
    await clock.settle()
    asked[0]?.answer(1)
    await first
    void fly(ask())
    await clock.settle()
    expect(text(await other(ask()))).toBe('1')
    expect(asked).toHaveLength(2)
  })

  test('a node without the value that comes just after the answer gets it; the lease is free again', async () => {
    const { clock, fly, asked, leases, parts, below } = open()
    const first = fly(ask())
    await clock.settle()
    asked[0]?.answer(1)
    await first
    const other = flight({ ...parts, node: 'n2', known: () => undefined })(below)
    expect(text(await other(ask()))).toBe('1')
    expect(asked).toHaveLength(1)
    expect((await leases.acquire('/prices/SOL', 'n3', 1, 0)).held).toBe(true)
  })

  test('a dropped value is refetched, also by a node that never had it', async () => {
    const { clock, fly, asked, values, parts, below } = open()
    const first = fly(ask())
    await clock.settle()
    asked[0]?.answer(1)
    await first
    await values.expire('/prices/SOL')
    const other = flight({ ...parts, node: 'n2', known: () => undefined })(below)(ask())
    await clock.settle()
    asked[1]?.answer(2)
    expect(text(await other)).toBe('2')
  })

  test('while one fetches a missing value, the others wait for its answer', async () => {
    const { clock, fly, asked, parts, below } = open()
    const others = ['n2', 'n3', 'n4'].map((node) => flight({ ...parts, node })(below))
    const first = fly(ask())
    await clock.settle()
    const rest = others.map((other) => other(ask()))
    await clock.advance(500)
    asked[0]?.answer('news')
    await clock.settle()
    expect((await Promise.all([first, ...rest])).map(text)).toEqual(Array(4).fill('"news"'))
    expect(asked).toHaveLength(1)
  })

  test('a node that has the value waits for the next one', async () => {
    const { clock, fly, asked, parts, below } = open()
    const early = fly(ask())
    await clock.settle()
    asked[0]?.answer('old')
    const known = await early
    await clock.advance(1000)
    const next = fly(ask())
    await clock.settle()
    const other = flight({ ...parts, node: 'n2', known: () => known })(below)(ask())
    await clock.advance(500)
    // The same content, confirmed again, is an answer too.
    asked[1]?.answer('old')
    await next
    expect(await other).toMatchObject({ version: known.version, checkedAt: clock.now() })
    expect(asked).toHaveLength(2)
  })

  test('if the fetching node fails, the others try one at a time', async () => {
    const { clock, fly, asked, parts, below } = open()
    const others = ['n2', 'n3'].map((node) => flight({ ...parts, node })(below))
    const first = fly(ask()).catch(reason)
    await clock.settle()
    const rest = others.map((other) => other(ask()))
    asked[0]?.fail(new Error('down'))
    expect(await first).toBe('down')
    await clock.advance(250)
    expect(asked).toHaveLength(2)
    asked[1]?.answer('up')
    await clock.advance(250)
    expect((await Promise.all(rest)).map(text)).toEqual(['"up"', '"up"'])
    expect(asked).toHaveLength(2)
  })

  test('a caller that waits for another node until its deadline gets the remaining lease time as Retry-After', async () => {
    const { clock, fly, parts, below } = open()
    const deadline = clock.monotonic() + 5000
    void fly(ask({ deadline: deadline + 2000 })).catch(() => {})
    await clock.settle()
    const refused = flight({ ...parts, node: 'n2' })(below)(ask({ deadline })).catch((error: unknown) => error)
    await clock.advance(5200)
    expect(await refused).toMatchObject({ code: 'over_budget', retryAfter: expect.any(Number) })
  })

  test('waiting for another node stops when the last waiter leaves', async () => {
    const { clock, fly, parts, below } = open()
    void fly(ask()).catch(() => {})
    await clock.settle()
    const leave = new AbortController()
    const gone = flight({ ...parts, node: 'n2' })(below)(ask({ signal: leave.signal })).catch(reason)
    await clock.settle()
    leave.abort(new Error('left'))
    expect(await gone).toBe('left')
    const timers = clock.timers
    await clock.advance(250)
    expect(clock.timers).toBeLessThan(timers)
  })

  test('a lease lasts as long as its call, and hardly longer than its holder', async () => {
    const { clock, fly, leases } = open()
    const slow = fly(ask({ deadline: clock.monotonic() + 10_000 }))
    await clock.advance(9000)
    const refused = await leases.acquire('/prices/SOL', 'n2', 1, 0)
    expect(refused).toMatchObject({ held: false })
    expect(refused.held ? Number.NaN : refused.for).toBeLessThanOrEqual(2500)
    clock.stall(2501)
    expect(await leases.acquire('/prices/SOL', 'n2', 1, 0)).toMatchObject({ held: true })
    slow.catch(() => {})
  })

  test('a node that overslept its lease gets the value of the other', async () => {
    const { clock, fly, asked, parts, below } = open()
    const sleeper = fly(ask())
    await clock.settle()
    // Its process is suspended for that long, so none of its timers runs.
    clock.stall(2501)
    const taker = flight({ ...parts, node: 'n2' })(below)(ask())
    await clock.settle()
    asked[1]?.answer('new')
    await taker
    asked[0]?.answer('old')
    expect(text(await sleeper)).toBe('"new"')
  })
})

describe('an answer whose lease was lost during the call, as after a pause of the shared tier', () => {
  async function lost({ leases }: ReturnType<typeof open>, holds: boolean) {
    const mine = await leases.acquire(ask().topic, 'n1', 1, 0)
    if (!mine.held) throw new Error('expected the lease')
    await leases.release(ask().topic, 'n1', mine.token)
    const theirs = await leases.acquire(ask().topic, 'n2', 60_000, 0)
    if (!theirs.held) throw new Error('expected the lease')
    if (!holds) await leases.release(ask().topic, 'n2', theirs.token)
    return theirs.token
  }

  test('is published under a version of its own', async () => {
    const site = open()
    const { clock, fly, asked, values } = site
    const answer = fly(ask())
    await clock.settle()
    await lost(site, false)
    asked[0]?.answer(1)
    expect(text(await answer)).toBe('1')
    expect(await values.read(ask().topic)).toEqual(await answer)
    const again = fly(ask())
    await clock.settle()
    asked[1]?.answer(2)
    expect((await again).version.sequence).toBe(2)
  })

  test('yields to a value that another node published since, also while that node is still fetching', async () => {
    const site = open()
    const { clock, fly, asked, values } = site
    const answer = fly(ask())
    await clock.settle()
    const token = await lost(site, true)
    asked[0]?.answer('mine')
    await clock.advance(500)
    const made = content('theirs')
    await values.publish(ask().topic, { token, knownEpoch: 0, hash: 'h', content: made, keep: 60_000 })
    await clock.advance(300)
    expect(text(await answer)).toBe('"theirs"')
    expect(asked).toHaveLength(1)
  })
})
