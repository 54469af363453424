import { formatVersion, parseVersion, type Version } from '@weir/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ManualClock } from '../../../test/manual-clock.ts'
import { jsonWire, Recorder } from '../../../test/recorder.ts'
import { memoryLogs } from '../../backend/memory/logs.ts'
import type { LogLine, Logs } from '../../backend/ports.ts'
import type { WeirEvent } from '../../events.ts'
import { createHub } from '../../hub/hub.ts'
import { type HistoryOptions, log } from './log.ts'
import { LogRuntime } from './log-runtime.ts'

const SOL = { mint: 'SOL' }
const TOPIC = '/trades/SOL'

/** A log at work, its backend, and what goes wrong on the way from there. */
function open(history: HistoryOptions, bytes = 1_000_000) {
  const clock = new ManualClock()
  const events: WeirEvent[] = []
  const emit = (event: WeirEvent) => void events.push(event)
  const kept = memoryLogs(clock, bytes)
  const faults = { deaf: false, down: false }
  const logs: Logs = {
    append: (...given) => kept.append(...given),
    appendAfter: (...given) => kept.appendAfter(...given),
    read: async (...given) => {
      if (faults.down) throw new Error('the backend is away')
      return kept.read(...given)
    },
    subscribe: (name, listener) => kept.subscribe(name, (line: LogLine) => faults.deaf || listener(line)),
  }
  const wire = jsonWire()
  const hub = createHub({ clock, emit, level: () => 'normal', heartbeat: 10_000 })
  const { plan } = log('/trades/:mint', { name: 'trades', key: { mint: z.string() }, event: z.unknown(), history })
  const live = new LogRuntime({ plan, logs, hub, clock, emit })
  const publish = (event: unknown = 'x') => live.publish(SOL, event, undefined)
  const join = (known?: Version) => {
    const recorder = new Recorder()
    live.watch(hub.listen(recorder, wire), { topic: TOPIC, key: SOL }, known)
    return recorder
  }
  return { clock, events, kept, faults, wire, hub, live, publish, join }
}

const said = ({ heard }: Recorder) =>
  heard.map(({ type, position, from, to }) =>
    [type, position ?? from, to].filter(Boolean).join(' ').replaceAll(/\d+:/g, ''),
  )

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('join' as const), reader: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), reader: fc.nat({ max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lag' as const), reader: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const), reader: fc.nat({ max: 2 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(0, 100, 6000, 40_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deaf' as const), deaf: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
)

class Reader {
  recorder: Recorder | undefined
  /** The position of what it heard last. */
  known: Version | undefined
  /** How many messages of this connection were looked at. */
  read = 0
  gaps = 0

  /** Looks at what came since: each event follows the one before, unless a gap was said between them. */
  verify(): void {
    const { recorder } = this
    if (recorder === undefined) return
    for (const { type, position, from, to } of recorder.heard.slice(this.read)) {
      if (type === 'gap') {
        this.gaps += 1
        expect(from).toBe(this.known === undefined ? from : formatVersion(this.known))
        this.known = parseVersion(to ?? '')
        expect(this.known).toBeDefined()
      }
      if (type !== 'event') continue
      const next = parseVersion(position ?? '')
      if (this.known !== undefined) {
        // An empty log has lost nothing when it begins a larger epoch with its first event.
        const epoch = this.known.sequence === 0 ? (next?.epoch ?? 0) : this.known.epoch
        expect(position).toBe(formatVersion({ epoch, sequence: this.known.sequence + 1 }))
        expect(epoch).toBeGreaterThanOrEqual(this.known.epoch)
      }
      this.known = next
    }
    this.read = recorder.buffers.length
    if (recorder.closed) this.recorder = undefined
  }
}

test('whatever happens, each reader hears every event once and in order, or is told which it missed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ events: fc.integer({ min: 1, max: 12 }), age: fc.constantFrom('5s' as const, '1h' as const) }),
      fc.array(action, { maxLength: 60, size: 'max' }),
      async (history, actions) => {
        const { clock, kept, faults, live, publish, join } = open(history, 16_000)
        const readers = [new Reader(), new Reader(), new Reader()]
        // What was not heard of, such as that the log lost its past, shows with its next event.
        let behind = false
        const bounds = { events: 10, age: 60_000 }

        async function enter(reader: Reader): Promise<void> {
          const { epoch, oldest, newest } = await kept.read(TOPIC, 0, 0)
          const { known, gaps } = reader
          reader.read = 0
          reader.recorder = join(known)
          await clock.settle()
          reader.verify()
          if (behind) return
          // Inside the history nothing is missing, and outside it that is said.
          const inside =
            known === undefined || (known.epoch === epoch && known.sequence >= oldest - 1 && known.sequence <= newest)
          expect([known, { epoch, oldest, newest }, reader.gaps > gaps]).toEqual([
            known,
            { epoch, oldest, newest },
            !inside,
          ])
        }

        for (const next of actions) {
          const reader = 'reader' in next ? readers[next.reader] : undefined
          if (next.do === 'publish') {
            const positions: Promise<string>[] = []
            for (let i = 0; i < next.count; i++) positions.push(publish())
            await Promise.all(positions)
            behind = faults.deaf
          } else if (next.do === 'pass') await clock.advance(next.time)
          else if (next.do === 'settle') await clock.settle()
          else if (next.do === 'deaf') faults.deaf = next.deaf
          else if (next.do === 'lose') {
            behind = true
            // Other logs push it out of memory.
            for (const name of ['a', 'b', 'c', 'd', 'e']) await kept.append(name, Buffer.alloc(3700), bounds)
          } else if (reader?.recorder === undefined) {
            if (next.do === 'join' && reader !== undefined) await enter(reader)
          } else if (next.do === 'leave') {
            reader.recorder.leave()
            reader.verify()
          } else if (next.do === 'lag') reader.recorder.slow = true
          else if (next.do === 'drain') reader.recorder.drain()
          for (const one of readers) one.verify()
        }

        // In the end all is well: what was not heard is found when the next event comes.
        faults.deaf = false
        for (const { recorder } of readers) recorder?.drain()
        await publish()
        behind = false
        await clock.settle()
        for (const reader of readers) reader.verify()
        for (const reader of readers) if (reader.recorder === undefined) await enter(reader)
        const { epoch, newest } = await kept.read(TOPIC, 0, 0)
        for (const { known } of readers) expect(known).toEqual({ epoch, sequence: newest })
        live.stop()
      },
    ),
    { numRuns: 300 },
  )
})

describe('an event', () => {
  test('is encoded once for all who listen, and once for all who replay it', async () => {
    const { clock, wire, publish, join } = open({ events: 100 })
    for (let i = 0; i < 10; i++) await publish(i)
    const peers = Array.from({ length: 50 }, () => join())
    await clock.settle()
    await publish(10)
    await clock.settle()
    expect(peers.map(({ heard }) => heard.filter(({ type }) => type === 'event').length)).toEqual(peers.map(() => 11))
    expect(wire.encoded).toBe(11)
  })

  test('and those of the same tick leave in one packet', async () => {
    const { clock, publish, join } = open({ events: 100 })
    const recorder = join()
    await clock.settle()
    const before = recorder.packets
    await Promise.all([1, 2, 3].map((event) => publish(event)))
    await clock.settle()
    expect(recorder.packets).toBe(before + 1)
    expect(said(recorder).slice(-3)).toEqual(['event 1', 'event 2', 'event 3'])
  })

  test('that several tell of is published once: who was late is told so, and listeners hear it once', async () => {
    const { live, join, clock } = open({ events: 100 })
    const recorder = join()
    const { newest } = await live.read(SOL, {}, undefined)
    const first = await live.publishAfter(SOL, newest, 'entry 1', undefined)
    expect(await live.publishAfter(SOL, newest, 'entry 1', undefined)).toBeUndefined()
    expect(await live.publishAfter(SOL, first ?? '', 'entry 2', undefined)).toBe(
      (await live.read(SOL, {}, undefined)).newest,
    )
    await expect(live.publishAfter(SOL, 'last', 'entry 3', undefined)).rejects.toMatchObject({ code: 'bad_version' })
    await expect(live.publishAfter(SOL, '', 'entry 3', undefined)).rejects.toMatchObject({ code: 'bad_version' })
    await clock.advance(10)
    expect(recorder.heard.map(({ event }) => event).filter(Boolean)).toEqual(['entry 1', 'entry 2'])
  })

  test('keeps the digits of its numbers', async () => {
    const { clock, kept, live, join } = open({ events: 100 })
    await kept.append(TOPIC, Buffer.from('{"slot":18446744073709551615}'), { events: 10, age: 1000 })
    const recorder = join()
    await clock.settle()
    expect(Buffer.from(recorder.buffers[0] ?? []).toString()).toContain('"event":{"slot":18446744073709551615}')
    expect((await live.read(SOL, {}, undefined)).events[0]?.event).toEqual({ slot: 18446744073709551615n })
  })
})

describe('a slow reader', () => {
  test('costs no more than its place: it goes on from there when it has caught up', async () => {
    const { clock, publish, join } = open({ events: 100 })
    const [slow, quick] = [join(), join()]
    await clock.settle()
    slow.slow = true
    for (let i = 0; i < 20; i++) {
      await publish(i)
      await clock.settle()
    }
    const one = slow.buffers.length
    expect(said(slow).at(-1)).toBe('event 1')
    expect(said(quick).at(-1)).toBe('event 20')
    slow.drain()
    await clock.settle()
    expect(said(slow).slice(one)).toEqual(Array.from({ length: 19 }, (_, i) => `event ${i + 2}`))
  })

  test('that falls out of what is kept is cut, told when to come back, and hears then what it missed', async () => {
    const { clock, events, publish, join, hub } = open({ events: 3 })
    const [slow, quick] = [join(), join()]
    await clock.settle()
    slow.slow = true
    const large = 'x'.repeat(300_000)
    for (let i = 0; i < 10; i++) {
      await publish(large)
      await clock.settle()
    }
    expect(slow.closed).toBe(true)
    expect(slow.heard.at(-1)).toEqual({ type: 'goodbye', retry: expect.any(Number) })
    expect(said(slow).filter((text) => text.startsWith('event'))).toEqual(['event 1'])
    expect(said(quick).filter((text) => text.startsWith('event'))).toHaveLength(10)
    expect(hub.connections).toBe(1)
    expect(events.filter(({ type }) => type === 'hub.cut')).toHaveLength(1)
    const again = join(parseVersion(slow.heard.findLast(({ type }) => type === 'event')?.position ?? ''))
    await clock.settle()
    expect(said(again)).toEqual(['gap 1 7', 'event 8', 'event 9', 'event 10'])
  })

  test('is not cut for a history of one: what lies a little behind stays for it', async () => {
    const { clock, publish, join } = open({ events: 1 })
    const slow = join()
    await clock.settle()
    slow.slow = true
    for (let i = 0; i < 5; i++) {
      await publish(i)
      await clock.settle()
    }
    slow.drain()
    await clock.settle()
    expect(said(slow).slice(-5)).toEqual([1, 2, 3, 4, 5].map((n) => `event ${n}`))
    // For those who come, the history is what it says.
    const late = join()
    await clock.settle()
    expect(said(late)).toEqual(['event 5'])
  })

  test('of several topics hears of each', async () => {
    const { clock, wire, hub, live } = open({ events: 100 })
    const recorder = new Recorder()
    const listener = hub.listen(recorder, wire)
    for (const mint of ['SOL', 'JUP']) live.watch(listener, { topic: `/trades/${mint}`, key: { mint } }, undefined)
    await clock.settle()
    recorder.slow = true
    for (const mint of ['SOL', 'JUP', 'SOL', 'JUP']) await live.publish({ mint }, mint, undefined)
    await clock.settle()
    recorder.drain()
    await clock.settle()
    const heard = recorder.heard.filter(({ type }) => type === 'event').map(({ event }) => event)
    expect([...heard].sort()).toEqual(['JUP', 'JUP', 'SOL', 'SOL'])
  })
})

describe('a log at work', () => {
  test('lets go of what nobody listens to', async () => {
    const { clock, hub, join, live } = open({ events: 10 })
    const recorder = join()
    await clock.settle()
    await clock.advance(60_000)
    const channel = hub.channel(TOPIC)
    expect(hub.channel(TOPIC)).toBe(channel)
    recorder.leave()
    await clock.advance(60_000)
    expect(hub.channel(TOPIC)).not.toBe(channel)
    live.stop()
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
  })

  test('sends those away who come while its history can not be read, and serves them when it can', async () => {
    const { clock, faults, events, publish, join, hub } = open({ events: 10 })
    await publish()
    faults.down = true
    const recorder = join()
    await clock.settle()
    expect(recorder.heard).toEqual([{ type: 'goodbye', retry: expect.any(Number) }])
    expect([recorder.closed, hub.connections]).toEqual([true, 0])
    expect(events).toContainEqual({ type: 'failed', where: `history of ${TOPIC}`, error: expect.any(Error) })
    faults.down = false
    const again = join()
    await clock.settle()
    expect(said(again)).toEqual(['event 1'])
  })

  test('hears what comes while its history is read', async () => {
    const { clock, publish, join } = open({ events: 10 })
    await publish()
    const recorder = join()
    await publish()
    await clock.settle()
    expect(said(recorder)).toEqual(['event 1', 'event 2'])
  })

  test('without events may begin a larger epoch with its first: there is no gap where nothing was', async () => {
    const { clock, kept, publish, join } = open({ events: 10 }, 1000)
    const recorder = join()
    await clock.settle()
    for (const name of ['a', 'b', 'c', 'd']) await kept.append(name, Buffer.alloc(0), { events: 10, age: 60_000 })
    const position = await publish()
    await clock.settle()
    expect(recorder.heard.map(({ type }) => type)).toEqual(['heartbeat', 'event'])
    expect(recorder.heard[1]?.position).toBe(position)
    expect(recorder.heard[0]?.version).not.toBe(position.replace(/:1$/, ':0'))
  })

  test('heartbeats name the newest event, never one that is yet to be heard', async () => {
    const { clock, hub, publish, join } = open({ events: 1000 })
    for (let i = 0; i < 5; i++) await publish(i)
    const recorder = join()
    recorder.slow = true
    await clock.advance(11_000)
    expect(said(recorder)).toEqual(['event 1'])
    recorder.drain()
    await clock.advance(11_000)
    recorder.slow = true
    await Promise.all([publish(), publish()])
    hub.setStale(hub.channel(TOPIC), true)
    await clock.settle()
    expect(said(recorder).slice(-2)).toEqual(['heartbeat', 'event 6'])
    recorder.drain()
    await clock.advance(11_000)
    const beat = recorder.heard.at(-1)
    expect([beat?.type, beat?.version]).toEqual([
      'heartbeat',
      recorder.heard.findLast(({ type }) => type === 'event')?.position,
    ])
  })

  test('publishing a stream that never pauses lets others have their turn', async () => {
    const { clock, live } = open({ events: 10 })
    async function* endless() {
      for (let i = 0; ; i++) yield i
    }
    let turns = 0
    const source = endless()
    const publishing = live.publishAll(SOL, source, undefined)
    const turn = () => {
      turns += 1
      if (turns === 5) void source.return(undefined)
      else clock.soon(turn)
    }
    clock.soon(turn)
    await clock.settle()
    expect(await publishing).toMatch(/^\d+:\d+$/)
    expect(turns).toBe(5)
  })
})
