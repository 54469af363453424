import { compareVersions, parseVersion, type Version } from '@weir/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { call } from '../../test/call.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { memoryBackend } from '../backend/memory/backend.ts'
import { createMemory } from '../cache/memory.ts'
import type { Answer } from '../call.ts'
import { createHub } from '../hub/hub.ts'
import { providerPath, readPath, requestPath } from '../pipeline.ts'
import { feed } from '../topic/feed/feed.ts'
import { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { http } from '../upstream/http.ts'
import { poll } from './poll.ts'
import { problemAnswer } from './problem.ts'

const EVERY = 100

/** A live feed of one changing value, and polls of it. */
function open() {
  const clock = new ManualClock()
  const emit = () => {}
  const upstream = { value: 0, fails: false }
  const source = http({ name: 'jupiter', url: 'http://127.0.0.1:1' })
  const { plan } = feed('/prices/:mint', {
    name: 'price',
    key: { mint: z.string() },
    value: z.number(),
    from: source,
    fresh: `${EVERY}ms`,
    live: { every: `${EVERY}ms`, linger: '1s' },
    load: {
      one: async () => {
        if (upstream.fails) throw new Error('away')
        return upstream.value
      },
    },
  })
  const backend = memoryBackend(clock, 1_000_000)
  const parts = { backend, clock, emit, node: 'n', stretch: () => 1, strained: () => false }
  const requests = requestPath(source, [providerPath(source, parts)], parts)
  const path = readPath(plan, requests, createMemory(1_000_000), parts)
  const hub = createHub({ clock, emit, level: () => 'normal', heartbeat: 10_000 })
  const live = new FeedRuntime({
    plan,
    path,
    hub,
    bus: backend.bus,
    leases: backend.leases,
    node: 'n1',
    dropped: () => {},
    clock,
    emit,
    stretch: () => 1,
    random: () => 0.5,
  })
  const serving = {
    hub,
    clock,
    heartbeat: 10_000,
    level: () => 'normal' as const,
    lineage: () => undefined,
    deflate: false,
    hold: () => {},
  }
  const ask = (query: string, signal = new AbortController().signal) =>
    Promise.resolve(poll(serving, live, call(`/prices/SOL?as=poll${query}`, { signal }), { mint: 'SOL' })).catch(
      (thrown): Answer => problemAnswer(thrown),
    )
  const latest = () => path.kept('/prices/SOL')?.version
  return { clock, upstream, hub, live, ask, latest }
}

function seen(answer: Answer): { readonly status: number; readonly version: Version | undefined } {
  if (answer.kind !== 'whole') throw new Error('expected a whole answer')
  const version = answer.headers['weir-version']
  return { status: answer.status, version: parseVersion(String(version)) }
}

const CLIENTS = 3
const client = fc.nat({ max: CLIENTS - 1 })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('change' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('poll' as const), client, wait: fc.constantFrom(0, 50, 150, 1000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), fails: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(0, 30, 100, 250, 2000) }),
  },
)

interface Client {
  known: Version | undefined
  /** Set while it waits. */
  leave: (() => void) | undefined
}

test('a poll never answers with what the client has or had, and never leaves it waiting for what is there', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const { clock, upstream, hub, ask, latest } = open()
      const clients = Array.from({ length: CLIENTS }, (): Client => ({ known: undefined, leave: undefined }))
      const newer = (than: Version) => {
        const now = latest()
        return now !== undefined && compareVersions(now, than) > 0
      }
      async function start(one: Client, wait: number): Promise<void> {
        const { known } = one
        const controller = new AbortController()
        one.leave = () => controller.abort()
        const after = known === undefined ? '' : `&after=${known.epoch}:${known.sequence}`
        const { status, version } = seen(await ask(`${after}&wait=${wait}ms`, controller.signal))
        one.leave = undefined
        if (controller.signal.aborted) return
        if (status === 204 && known !== undefined) expect(newer(known)).toBe(false)
        if (status !== 200) return
        if (version === undefined) throw new Error('expected a version')
        if (known !== undefined) expect(compareVersions(version, known)).toBeGreaterThan(0)
        one.known = version
      }

      const started: Promise<void>[] = []
      for (const one of steps) {
        const who = 'client' in one ? clients[one.client] : undefined
        if (one.do === 'change') upstream.value += 1
        if (one.do === 'fail') upstream.fails = one.fails
        if (one.do === 'poll' && who !== undefined && who.leave === undefined) started.push(start(who, one.wait))
        if (one.do === 'leave') who?.leave?.()
        if (one.do === 'pass') {
          await clock.advance(one.time)
          await clock.settle()
          const waiting = clients.filter(({ known, leave }) => known !== undefined && leave !== undefined)
          expect(hub.connections).toBe(waiting.length)
          for (const { known } of waiting) expect(known !== undefined && newer(known)).toBe(false)
        }
      }

      // In the end everybody who asks has the latest.
      upstream.fails = false
      upstream.value += 1
      await clock.advance(2000)
      for (const who of clients) if (who.leave === undefined) started.push(start(who, 1000))
      await clock.advance(2000)
      await Promise.all(started)
      for (const who of clients) {
        const last = start(who, 1000)
        await clock.advance(2000)
        await last
        expect(who.known).toEqual(latest())
      }
      expect(hub.connections).toBe(0)
      await clock.advance(10_000)
      expect(clock.timers).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('thousands who wait for one value have it in one tick, and leave nothing behind', async () => {
  const { clock, upstream, hub, live, ask } = open()
  const first = ask('')
  await clock.settle()
  const { version } = seen(await first)
  const polls = Array.from({ length: 5000 }, () => ask(`&after=${version?.epoch}:${version?.sequence}`))
  await clock.advance(0)
  expect(hub.connections).toBe(5000)
  upstream.value = 7
  await clock.advance(EVERY)
  const answers = (await Promise.all(polls)).map(seen)
  expect(new Set(answers.map(({ status, version }) => `${status} ${version?.sequence}`))).toEqual(new Set(['200 2']))
  expect(hub.connections).toBe(0)
  expect(live.watched).toBe(1)
  await clock.advance(10_000)
  expect(live.watched).toBe(0)
  expect(clock.timers).toBe(0)
})

test('what is newer already is answered before the next tick', async () => {
  const { clock, ask } = open()
  const first = ask('')
  await clock.settle()
  await first
  expect(seen(await ask('&after=1:1&wait=0s'))).toMatchObject({ status: 200, version: { sequence: 1 } })
})

test('one who comes and goes between two rounds keeps the value moving', async () => {
  const { clock, upstream, live, ask } = open()
  for (let round = 0; round < 30; round++) {
    upstream.value += 1
    const gone = ask('&after=1:1')
    await clock.advance(EVERY / 2)
    await gone
    await clock.advance(3 * EVERY)
    expect(live.watched).toBe(1)
  }
})

test('a value that never came is reported at once, also to a later request', async () => {
  const { clock, upstream, ask } = open()
  upstream.fails = true
  const first = ask('&after=1:1')
  await clock.advance(EVERY)
  expect(seen(await first)).toEqual({ status: 502, version: undefined })
  const second = ask('&after=1:1')
  await clock.settle()
  expect(seen(await second)).toEqual({ status: 502, version: undefined })
})

test('a client that was gone before it was read is not kept', async () => {
  const { clock, hub, ask } = open()
  const polled = ask('&after=1:1', AbortSignal.abort())
  await polled
  expect(hub.connections).toBe(0)
  await clock.advance(30_000)
  expect(clock.timers).toBe(0)
})
