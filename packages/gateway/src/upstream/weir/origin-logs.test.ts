import { compareVersions, formatVersion, parseVersion, START_OVER_AFTER, type Version } from '@weir/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import { memoryLogs } from '../../backend/memory/logs.ts'
import type { LogHistory, LogLine } from '../../backend/ports.ts'
import { gapAfter } from '../../topic/log/gap.ts'
import type { OriginNews } from './origin.ts'
import { originLogs } from './origin-logs.ts'

const LOG = '/log'
const BOUNDS = { events: 5, age: 3_600_000_000 }

/** An origin with one log, which keeps five events. */
function openOrigin(lineage: string, clock: ManualClock, ahead: number) {
  const own = { ...clock, now: () => clock.now() + ahead, monotonic: () => clock.monotonic() }
  const logs = memoryLogs(Object.assign(Object.create(clock), own), 1_000_000)
  const named = (line: LogLine): LogLine => ({ ...line, lineage })
  async function page(after: Version | undefined, most: number): Promise<LogHistory> {
    let history = await logs.read(LOG, after?.sequence ?? 0, most)
    if (after !== undefined && after.epoch !== history.epoch) history = await logs.read(LOG, 0, most)
    return { ...history, lineage, events: history.events.map(named) }
  }
  return {
    lineage,
    page,
    publish: () => logs.append(LOG, Buffer.from(`"${lineage}"`), BOUNDS),
    listen: (ears: (news: OriginNews) => void) =>
      logs.subscribe(LOG, (line) => ears({ type: 'event', line: named(line) })),
  }
}
type TestOrigin = ReturnType<typeof openOrigin>

/** A region of two origins: a connection leads to one of them and calls to one of them, or nowhere. */
async function openRegion() {
  const clock = new ManualClock()
  const origins = { ahead: openOrigin('ahead', clock, 3_600_000), right: openOrigin('right', clock, 0) }
  let pages: TestOrigin | undefined = origins.ahead
  let connected: TestOrigin | undefined
  let ears: ((news: OriginNews) => void) | undefined
  let held: Version | undefined
  let asked = 0
  let hush = () => {}
  const said = (news: OriginNews) => {
    if (news.type === 'gap') held = news.to
    else if (news.type === 'event') held = { epoch: news.line.epoch, sequence: news.line.offset }
    ears?.(news)
  }
  /** The connection leads there from now on: what followed what was sent last is sent first. */
  async function connect(to: TestOrigin | undefined) {
    hush()
    hush = () => {}
    connected = to
    if (to === undefined || ears === undefined) return
    const { lineage, events, ...log } = await to.page(held, 1000)
    const gap = held === undefined ? undefined : gapAfter(held, log)
    if (gap !== undefined) said({ type: 'gap', to: gap, lineage })
    for (const line of events) said({ type: 'event', line })
    hush = to.listen(said)
  }
  const region = originLogs({
    origin: {
      follow(_, given, since) {
        ears = given
        held = parseVersion(since ?? '')
      },
      leave() {},
      hears: () => connected !== undefined,
    },
    call: {
      async history(_, after, most) {
        asked += 1
        if (pages === undefined) throw new Error('cut off')
        return pages.page(after === undefined ? undefined : parseVersion(after), most)
      },
    },
    bounds: BOUNDS,
    clock,
  })
  const stop = region.subscribe(LOG, () => {})
  const read = () => region.read(LOG, 0, 1000)
  await origins.ahead.publish()
  await read()
  await connect(origins.ahead)
  return {
    clock,
    origins,
    connect,
    read,
    lead(to: TestOrigin | undefined) {
      pages = to
    },
    /** Pages that were asked for. */
    asked: () => asked,
    /** The connection is there, and events get lost on it. */
    lose() {
      hush()
    },
    /** A heartbeat on the connection. */
    async beat() {
      if (connected === undefined) return
      const { epoch, newest, lineage } = await connected.page(undefined, 1)
      said({ type: 'stands', at: { epoch, sequence: newest }, lineage })
    },
    [Symbol.dispose]() {
      hush()
      stop()
    },
  }
}

test('a log that is followed is always that of one origin, never goes back within one, and starts over only after the stated time', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('publish' as const), to: fc.constantFrom('ahead' as const, 'right' as const) }),
    fc.record({
      do: fc.constant('connect' as const),
      to: fc.constantFrom('ahead' as const, 'right' as const, undefined),
    }),
    fc.record({ do: fc.constant('lead' as const), to: fc.constantFrom('ahead' as const, 'right' as const, undefined) }),
    fc.record({ do: fc.constant('beat' as const) }),
    fc.record({ do: fc.constant('wait' as const), time: fc.constantFrom(500, 3000, 12_000, 31_000) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      using opened = await openRegion()
      const { clock, origins, connect, lead, beat, read } = opened
      let last = await read()
      let since = clock.monotonic()
      async function look() {
        await clock.settle()
        const history = await read()
        const { events, epoch, oldest, newest, lineage } = history
        expect(events.every((line) => line.lineage === lineage && line.epoch === epoch)).toBe(true)
        expect(events.map(({ offset }) => offset)).toEqual(events.map((_, index) => oldest + index))
        expect(events.every(({ event }) => event.toString() === `"${lineage}"`)).toBe(true)
        const order = compareVersions({ epoch, sequence: newest }, { epoch: last.epoch, sequence: last.newest })
        if (lineage === last.lineage) expect(order).toBeGreaterThanOrEqual(0)
        else if (order < 0) expect(clock.monotonic() - since).toBeGreaterThanOrEqual(START_OVER_AFTER)
        if (order !== 0) since = clock.monotonic()
        last = history
      }
      for (const one of steps) {
        if (one.do === 'publish') await origins[one.to].publish()
        else if (one.do === 'connect') await connect(one.to && origins[one.to])
        else if (one.do === 'beat') await beat()
        else if (one.do === 'wait') await clock.advance(one.time)
        else lead(one.to && origins[one.to])
        await look()
      }
      // One of them alone for long enough is followed, to its last event.
      lead(origins.right)
      await connect(origins.right)
      await clock.advance(START_OVER_AFTER + 2000)
      await origins.right.publish()
      await beat()
      await clock.advance(2000)
      const { events, ...there } = await origins.right.page(undefined, 1000)
      const here = await read()
      expect([here.lineage, formatVersion({ epoch: here.epoch, sequence: here.newest })]).toEqual([
        'right',
        formatVersion({ epoch: there.epoch, sequence: there.newest }),
      ])
      expect(here.events.at(-1)).toEqual(events.at(-1))
    }),
    { numRuns: 300 },
  )
}, 60_000)

test('a log that is followed is polled while the connection is at another position, and no longer', async () => {
  using opened = await openRegion()
  const { clock, origins, connect, read, beat, lose, asked } = opened
  async function polls() {
    const before = asked()
    await clock.advance(5000)
    return asked() - before
  }
  await clock.advance(1000)
  expect(await polls()).toBe(0)
  await origins.right.publish()
  await connect(origins.right)
  await clock.advance(1000)
  expect(await polls()).toBe(5)
  // Its pages still come from the one that is followed.
  await origins.ahead.publish()
  await clock.advance(1000)
  expect((await read()).newest).toBe(2)
  await connect(origins.ahead)
  await clock.advance(1000)
  expect(await polls()).toBe(0)
  // A heartbeat says that an event got lost.
  lose()
  await origins.ahead.publish()
  expect(await polls()).toBe(0)
  await beat()
  await clock.advance(1000)
  expect((await read()).newest).toBe(3)
  await beat()
  await clock.advance(1000)
  expect(await polls()).toBe(0)
})
