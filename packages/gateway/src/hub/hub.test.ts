import type { Level } from '@weir/protocol'
import { describe, expect, test } from 'vitest'
import { stored } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { jsonWire, Recorder, stepWire } from '../../test/recorder.ts'
import { Entry } from '../entry.ts'
import type { WeirEvent } from '../events.ts'
import { type Channel, createHub } from './hub.ts'

const HEARTBEAT = 10_000

function open() {
  const clock = new ManualClock()
  const events: WeirEvent[] = []
  const wire = jsonWire()
  const emit = (event: WeirEvent) => void events.push(event)
  const pressed: { level: Level } = { level: 'normal' }
  const hub = createHub({ clock, emit, level: () => pressed.level, heartbeat: HEARTBEAT })
  const channel = (topic = '/prices/SOL', parent?: Channel) => hub.channel(topic, parent)
  const publish = (to: Channel, sequence: number) => {
    const now = clock.now()
    const made = stored(sequence, { sequence, changedAt: now, checkedAt: now })
    hub.publish(to, new Entry(to.topic, {}, made, clock.monotonic()))
  }
  const peer = (...channels: readonly Channel[]) => {
    const recorder = new Recorder()
    const listener = hub.listen(recorder, wire)
    for (const one of channels) hub.join(listener, one, undefined)
    return { recorder, listener }
  }
  return { clock, events, wire, hub, pressed, channel, publish, peer }
}

/** In short: `snapshot 2`, `heartbeat 2 stale`. */
function said(recorder: Recorder, withTopic = false): readonly string[] {
  return recorder.heard.map(({ type, topic, version, stale }) =>
    [type, withTopic ? topic : undefined, version?.split(':')[1], stale === true ? 'stale' : undefined]
      .filter((word) => word !== undefined)
      .join(' '),
  )
}

describe('a version', () => {
  test('is encoded once, and every connection gets the same bytes', async () => {
    const { clock, wire, channel, publish, peer } = open()
    const sol = channel()
    const peers = Array.from({ length: 100 }, () => peer(sol).recorder)
    publish(sol, 1)
    await clock.settle()
    expect(wire.encoded).toBe(1)
    expect(new Set(peers.map(({ buffers }) => buffers[0])).size).toBe(1)
    expect(peers.every(({ buffers }) => buffers.length === 1)).toBe(true)
  })

  test('is sent as a step, encoded once, to listeners without lag, and whole to the others', async () => {
    const { clock, hub, channel, publish } = open()
    const [whole, late, ...others] = Array.from({ length: 4 }, () => new Recorder()) as [Recorder, Recorder]
    const wire = stepWire((connection) => connection !== whole)
    const sol = channel()
    for (const one of [whole, late, ...others]) hub.join(hub.listen(one, wire), sol, undefined)
    publish(sol, 1)
    await clock.settle()
    late.slow = true
    for (const sequence of [2, 3]) {
      publish(sol, sequence)
      await clock.settle()
    }
    late.drain()
    await clock.settle()
    publish(sol, 4)
    await clock.settle()
    for (const one of others) expect(said(one)).toEqual(['snapshot 1', 'patch 2', 'patch 3', 'patch 4'])
    expect(said(late)).toEqual(['snapshot 1', 'patch 2', 'snapshot 3', 'patch 4'])
    expect(said(whole)).toEqual(['snapshot 1', 'snapshot 2', 'snapshot 3', 'snapshot 4'])
    expect(new Set([late, ...others].map(({ buffers }) => buffers.at(-1))).size).toBe(1)
    expect(late.heard.at(-1)?.from).toBe('1:3')
    // The past is not kept for it.
    expect(sol).toMatchObject({ lastFlushed: sol.latest, delta: undefined })
  })

  test('of one tick: only the last is sent', async () => {
    const { clock, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    for (const sequence of [1, 2, 3]) publish(sol, sequence)
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 3'])
  })

  test('that is not newer is not sent', async () => {
    const { clock, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    for (const sequence of [2, 2, 1]) {
      publish(sol, sequence)
      await clock.settle()
    }
    expect(said(recorder)).toEqual(['snapshot 2'])
  })

  test('that is confirmed moves the age of the latest', async () => {
    const { clock, channel, publish } = open()
    const sol = channel()
    publish(sol, 1)
    await clock.advance(700)
    publish(sol, 1)
    expect(sol.latest).toMatchObject({ checkedAt: clock.now(), confirmedAt: clock.monotonic() })
    expect(sol.latest?.changedAt).toBe(clock.now() - 700)
  })

  test('that no listener got does not keep the next from later listeners', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const all = channel('/prices/:mint')
    const sol = channel('/prices/SOL', all)
    publish(sol, 1)
    await clock.settle()
    const { listener, recorder } = peer()
    hub.join(listener, all, undefined)
    publish(sol, 2)
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 2'])
  })
})

describe('a tick', () => {
  test('is one packet for each connection, however many topics changed', async () => {
    const { clock, channel, publish, peer, events } = open()
    const channels = ['a', 'b', 'c'].map((topic) => channel(topic))
    const [all, one] = [peer(...channels).recorder, peer(channels[1] as Channel).recorder]
    for (const each of channels) publish(each, 1)
    await clock.settle()
    expect([all.packets, one.packets]).toEqual([1, 1])
    expect([all.buffers.length, one.buffers.length]).toEqual([3, 1])
    expect(events).toContainEqual({ type: 'hub.written', messages: 4, connections: 2 })
  })
})

describe('joining', () => {
  test('is the snapshot and then the stream: nothing is lost or doubled between them', async () => {
    const { clock, channel, publish, peer } = open()
    const sol = channel()
    publish(sol, 1)
    const before = peer(sol).recorder
    publish(sol, 2)
    const amid = peer(sol).recorder
    publish(sol, 3)
    await clock.settle()
    const after = peer(sol).recorder
    await clock.settle()
    publish(sol, 4)
    await clock.settle()
    for (const { recorder } of [{ recorder: before }, { recorder: amid }, { recorder: after }]) {
      expect(said(recorder)).toEqual(['snapshot 3', 'snapshot 4'])
    }
  })

  test('twice is joining once', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const { listener, recorder } = peer(sol, sol)
    hub.join(listener, sol, undefined)
    publish(sol, 1)
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 1'])
  })

  test('with the current version in hand gets a heartbeat in place of the snapshot', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    publish(sol, 2)
    const [same, older] = [peer(), peer()]
    hub.join(same.listener, sol, { epoch: 1, sequence: 2 })
    hub.join(older.listener, sol, { epoch: 1, sequence: 1 })
    await clock.settle()
    expect(said(same.recorder)).toEqual(['heartbeat 2'])
    expect(said(older.recorder)).toEqual(['snapshot 2'])
  })

  test('adds to the snapshot that it still holds, and that it is stale', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    publish(sol, 1)
    await clock.advance(500)
    publish(sol, 1)
    const confirmed = peer(sol).recorder
    await clock.settle()
    expect(said(confirmed)).toEqual(['snapshot 1', 'heartbeat 1'])
    hub.setStale(sol, true)
    await clock.settle()
    const late = peer(sol).recorder
    await clock.settle()
    expect(said(late)).toEqual(['snapshot 1', 'heartbeat 1 stale'])
  })

  test('a herd of new listeners shares one heartbeat, of the version that holds', async () => {
    const { clock, hub, wire, channel, publish, peer } = open()
    const sol = channel()
    publish(sol, 1)
    await clock.settle()
    const join = (sequence: number) => {
      const { listener, recorder } = peer()
      hub.join(listener, sol, { epoch: 1, sequence })
      return recorder
    }
    const first = Array.from({ length: 50 }, () => join(1))
    await clock.advance(100)
    expect(wire.encoded).toBe(1)
    publish(sol, 2)
    const second = join(2)
    await clock.settle()
    expect(said(first[0] as Recorder)).toEqual(['heartbeat 1', 'snapshot 2'])
    expect(said(second)).toEqual(['heartbeat 2'])
  })
})

describe('a slow reader', () => {
  test('gets the latest when it has caught up, not the backlog, and delays no other', async () => {
    const { clock, channel, publish, peer, events } = open()
    const sol = channel()
    const [slow, quick] = [peer(sol).recorder, peer(sol).recorder]
    slow.slow = true
    for (let sequence = 1; sequence <= 5; sequence++) {
      publish(sol, sequence)
      await clock.settle()
    }
    slow.drain()
    await clock.settle()
    expect(said(slow)).toEqual(['snapshot 1', 'snapshot 5'])
    expect(quick.buffers).toHaveLength(5)
    expect(events.map(({ type }) => type).filter((type) => /lagging|caughtUp/.test(type))).toEqual([
      'hub.lagging',
      'hub.caughtUp',
    ])
  })

  test('that takes nothing for ten heartbeats is disconnected; one that takes a little at a time is not', async () => {
    const { clock, hub, channel, publish, peer, events } = open()
    const sol = channel()
    const [vanished, slow] = [peer(sol).recorder, peer(sol).recorder]
    for (const one of [vanished, slow]) Object.assign(one, { slow: true, waiting: 1000 })
    publish(sol, 1)
    await clock.settle()
    for (let beats = 0; beats < 9; beats++) {
      slow.waiting -= 1
      await clock.advance(HEARTBEAT)
    }
    expect([vanished.closed, slow.closed]).toEqual([false, false])
    slow.waiting -= 1
    await clock.advance(2 * HEARTBEAT)
    expect([vanished.closed, slow.closed]).toEqual([true, false])
    expect(vanished.heard.at(-1)).toMatchObject({ type: 'goodbye' })
    expect(hub.connections).toBe(1)
    expect(events.filter(({ type }) => type === 'hub.cut')).toHaveLength(1)
    Object.assign(slow, { waiting: 0 })
    slow.drain()
    await clock.advance(20 * HEARTBEAT)
    expect(slow.closed).toBe(false)
  })

  test('keeps a memory of topics, never of messages', async () => {
    const { clock, channel, publish, peer } = open()
    const channels = ['a', 'b', 'c'].map((topic) => channel(topic))
    const { recorder, listener } = peer(...channels)
    recorder.slow = true
    for (let sequence = 1; sequence <= 500; sequence++) {
      for (const each of channels) publish(each, sequence)
      await clock.settle()
    }
    expect(listener.lagging?.size).toBe(3)
    expect(listener.pending).toHaveLength(0)
    recorder.drain()
    await clock.settle()
    expect(recorder.heard.slice(-3).map(({ value }) => value)).toEqual([500, 500, 500])
  })

  test('that lags again goes on from there', async () => {
    const { clock, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    for (let sequence = 1; sequence <= 3; sequence++) {
      recorder.slow = true
      publish(sol, sequence * 10)
      await clock.settle()
      publish(sol, sequence * 10 + 1)
      await clock.settle()
      recorder.drain()
      await clock.settle()
    }
    expect(recorder.heard.map(({ value }) => value)).toEqual([10, 11, 20, 21, 30, 31])
  })
})

describe('a parent channel', () => {
  test('gets every topic in it, and one that also joined the topic gets it once', async () => {
    const { clock, channel, publish, peer } = open()
    const all = channel('/prices/:mint')
    const [sol, jup] = [channel('/prices/SOL', all), channel('/prices/JUP', all)]
    const [everything, both, one] = [peer(all).recorder, peer(all, sol).recorder, peer(sol).recorder]
    publish(sol, 1)
    publish(jup, 1)
    await clock.settle()
    expect(said(everything, true)).toEqual(['snapshot /prices/SOL 1', 'snapshot /prices/JUP 1'])
    expect(said(both, true)).toEqual(['snapshot /prices/SOL 1', 'snapshot /prices/JUP 1'])
    expect(said(one, true)).toEqual(['snapshot /prices/SOL 1'])
  })

  test('is shown a topic without joining it', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const all = channel('/prices/:mint')
    const sol = channel('/prices/SOL', all)
    publish(sol, 1)
    await clock.settle()
    const { listener, recorder } = peer(all)
    hub.show(listener, sol)
    publish(sol, 2)
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 2'])
    expect(sol.listeners.size).toBe(0)
  })
})

describe('silence', () => {
  test('is never longer than the heartbeat, whenever something was sent last', async () => {
    for (const spokeAfter of [1, 2500, 4999, 5000, 5001, 9999]) {
      const { clock, channel, publish, peer } = open()
      const sol = channel()
      const { recorder } = peer(sol)
      await clock.advance(spokeAfter)
      publish(sol, 1)
      await clock.settle()
      const before = recorder.buffers.length
      for (let beat = 1; beat <= 3; beat++) {
        await clock.advance(HEARTBEAT)
        expect(recorder.buffers.length).toBeGreaterThanOrEqual(before + beat)
      }
    }
  })

  test('of a topic without a value is broken too', async () => {
    const { clock, channel, peer } = open()
    const { recorder } = peer(channel())
    await clock.advance(HEARTBEAT)
    expect(recorder.heard[0]).toMatchObject({ type: 'heartbeat', topic: '/prices/SOL', stale: false, level: 'normal' })
    expect(recorder.heard[0]).not.toHaveProperty('version')
  })

  test('a busy topic needs no heartbeat', async () => {
    const { clock, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    for (let sequence = 1; sequence <= 30; sequence++) {
      publish(sol, sequence)
      await clock.advance(1000)
    }
    expect(recorder.heard.filter(({ type }) => type === 'heartbeat')).toEqual([])
  })

  test('needs no timer without listeners', async () => {
    const { clock, channel, peer } = open()
    const { recorder } = peer(channel())
    recorder.leave()
    await clock.advance(HEARTBEAT)
    expect(clock.timers).toBe(0)
    const again = peer(channel()).recorder
    await clock.advance(HEARTBEAT)
    expect(again.buffers.length).toBeGreaterThan(0)
  })
})

describe('staleness', () => {
  test('is sent at once when it changes, and only then', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    publish(sol, 1)
    await clock.settle()
    for (const stale of [true, true, false, false]) {
      hub.setStale(sol, stale)
      await clock.settle()
    }
    expect(said(recorder)).toEqual(['snapshot 1', 'heartbeat 1 stale', 'heartbeat 1'])
  })
})

describe('the level', () => {
  test('is sent to every connection, whatever it listens to, in one encoding', async () => {
    const { clock, hub, wire, pressed, channel, peer } = open()
    const peers = [peer(), peer(channel('a')), peer(channel('b'), channel('c'))]
    pressed.level = 'strained'
    hub.tellLevel()
    await clock.settle()
    for (const { recorder } of peers) {
      expect(recorder.heard).toEqual([{ type: 'level', level: 'strained', now: clock.now() }])
    }
    expect(wire.encoded).toBe(1)
  })

  test('is sent to a slow reader when it has caught up', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    recorder.slow = true
    publish(sol, 1)
    await clock.settle()
    hub.tellLevel()
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 1'])
    recorder.drain()
    await clock.settle()
    expect(said(recorder)).toEqual(['snapshot 1', 'level'])
  })

  test('of a heartbeat that new listeners share is never the one before', async () => {
    const { clock, hub, pressed, channel, publish, peer } = open()
    const sol = channel()
    publish(sol, 1)
    hub.join(peer().listener, sol, { epoch: 1, sequence: 1 })
    await clock.settle()
    pressed.level = 'saver'
    hub.tellLevel()
    const { listener, recorder } = peer()
    hub.join(listener, sol, { epoch: 1, sequence: 1 })
    await clock.settle()
    expect(recorder.heard).toMatchObject([{ type: 'heartbeat', level: 'saver' }])
  })
})

describe('a failure', () => {
  const problem = { type: 't', title: 't', status: 502, code: 'upstream_failed', detail: 'away', retry: true }

  test('of a topic that never had a value is sent to all that join, until there is one', async () => {
    const { clock, hub, wire, channel, publish, peer } = open()
    const all = channel('/prices/:mint')
    const sol = channel('/prices/SOL', all)
    const first = peer(sol).recorder
    hub.notice(sol, { type: 'error', topic: sol.topic, problem })
    await clock.settle()
    const late = [peer(sol).recorder, peer(sol).recorder]
    const { listener, recorder: everything } = peer()
    hub.show(listener, sol)
    await clock.settle()
    for (const recorder of [first, ...late, everything]) expect(said(recorder)).toEqual(['error'])
    expect(wire.encoded).toBe(1)
    publish(sol, 1)
    await clock.settle()
    const last = peer(sol).recorder
    await clock.settle()
    expect(said(last)).toEqual(['snapshot 1'])
  })
})

describe('leaving', () => {
  test('ends what a connection gets', async () => {
    const { clock, hub, channel, publish, peer, events } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    publish(sol, 1)
    recorder.leave()
    await clock.settle()
    publish(sol, 2)
    await clock.settle()
    expect(recorder.buffers).toEqual([])
    expect(hub.connections).toBe(0)
    expect(sol.listeners.size).toBe(0)
    expect(events.filter(({ type }) => type === 'hub.left')).toHaveLength(1)
  })

  test('as a slow reader counts as having caught up', () => {
    const { hub, peer, events } = open()
    const { recorder, listener } = peer()
    listener.lagging = new Set()
    recorder.leave()
    expect(events.map(({ type }) => type)).toEqual(['hub.joined', 'hub.caughtUp', 'hub.left'])
    expect(hub.connections).toBe(0)
  })

  test('a channel with listeners is not dropped, one without is', () => {
    const { hub, channel, peer } = open()
    const sol = channel()
    const { recorder } = peer(sol)
    hub.drop(sol)
    expect(channel()).toBe(sol)
    recorder.leave()
    hub.drop(sol)
    expect(channel()).not.toBe(sol)
  })
})

describe('closing', () => {
  test('sends what was pending, then goodbye, then ends the connection', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const peers = [peer(sol).recorder, peer(sol).recorder]
    publish(sol, 1)
    let retry = 0
    void hub.close(() => {
      retry += 500
      return retry
    }, 0)
    await clock.advance(HEARTBEAT)
    expect(peers.map(({ heard }) => heard.map(({ type, retry }) => retry ?? type))).toEqual([
      ['snapshot', 500],
      ['snapshot', 1000],
    ])
    expect(peers.every(({ closed }) => closed)).toBe(true)
    expect(clock.timers).toBe(0)
  })

  test('of many is spread over the time there is, and the others go on meanwhile', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const peers = Array.from({ length: 1000 }, () => peer(sol).recorder)
    publish(sol, 1)
    await clock.advance(0)
    const leaving = hub.close(() => 1, 500)
    const closed = () => peers.filter(({ closed }) => closed).length
    // Eight rounds of 50 ms are four fifths of the time.
    const course: number[] = []
    for (let round = 0; round < 8; round++) {
      course.push(closed())
      await clock.advance(50)
    }
    await leaving
    expect(course).toEqual([125, 250, 375, 500, 625, 750, 875, 1000])
    expect(clock.timers).toBe(0)
  })

  test('a value that comes meanwhile reaches the listeners that are left', async () => {
    const { clock, hub, channel, publish, peer } = open()
    const sol = channel()
    const peers = Array.from({ length: 150 }, () => peer(sol).recorder)
    publish(sol, 1)
    await clock.advance(0)
    void hub.close(() => 1, 500)
    publish(sol, 2)
    await clock.advance(100)
    const last = peers.map(({ heard }) => heard.slice(-2).map(({ type }) => type))
    expect(last.slice(0, 100).every(([before]) => before === 'snapshot')).toBe(true)
    expect(peers.map(({ heard }) => heard.filter(({ type }) => type === 'snapshot').length)).toEqual([
      ...Array(100).fill(1),
      ...Array(50).fill(2),
    ])
  })
})
