import { compareVersions, formatVersion, parseVersion, type Version } from '@weir/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stored } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { Recorder, stepWire } from '../../test/recorder.ts'
import { Entry } from '../entry.ts'
import { createHub, type Listener } from './hub.ts'

const PEERS = 3
const TOPICS = ['/prices/SOL', '/prices/JUP']

const peer = fc.nat({ max: PEERS - 1 })
const topic = fc.nat({ max: TOPICS.length - 1 })
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish' as const), topic, step: fc.integer({ min: -1, max: 2 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stale' as const), topic, stale: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('join' as const), topic, peer, behind: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('joinAll' as const), peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lag' as const), peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drain' as const), peer }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(0, 0, 200, 6000) }) },
)

interface Peer {
  readonly recorder: Recorder
  readonly listener: Listener
  /** What it had before it came. */
  readonly known: Map<string, Version>
}

test('whatever happens, versions only rise for every peer, steps are from what it has, and in the end each has the latest', async () => {
  let steps = 0
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60, size: 'max' }), async (actions) => {
      const clock = new ManualClock()
      const hub = createHub({ clock, emit: () => {}, level: () => 'normal', heartbeat: 10_000 })
      // The first takes no steps, the second those of one topic, the third all.
      const wire = stepWire((connection, topic) => {
        const index = peers.findIndex(({ recorder }) => recorder === connection)
        return index === 2 || (index === 1 && topic === TOPICS[0])
      })
      const all = hub.channel('/prices/:mint')
      const channels = TOPICS.map((topic) => hub.channel(topic, all))
      const sequences = TOPICS.map(() => 0)
      const peers: Peer[] = Array.from({ length: PEERS }, () => {
        const recorder = new Recorder()
        return { recorder, listener: hub.listen(recorder, wire), known: new Map() }
      })
      const publish = (index: number, sequence: number) => {
        const channel = channels[index]
        if (channel === undefined || sequence < 1) return
        sequences[index] = Math.max(sequences[index] ?? 0, sequence)
        hub.publish(channel, new Entry(channel.topic, {}, stored(sequence, { sequence }), clock.monotonic()))
      }

      /** Everything heard so far, and that whoever keeps up has the latest. */
      const verify = () => {
        for (const [index, { recorder, listener, known }] of peers.entries()) {
          const last = new Map(known)
          for (const { type, topic = '', version: text, from } of recorder.heard) {
            const version = text === undefined ? undefined : parseVersion(text)
            if (version === undefined) continue
            const before = last.get(topic)
            const order = before === undefined ? 1 : compareVersions(version, before)
            if (type === 'patch') {
              steps += 1
              expect(from).toBe(before === undefined ? 'of nothing' : formatVersion(before))
              expect(index === 2 || (index === 1 && topic === TOPICS[0])).toBe(true)
            }
            if (type === 'heartbeat') expect(order).toBe(0)
            else expect(order).toBeGreaterThan(0)
            last.set(topic, version)
          }
          if (listener.lagging !== undefined) continue
          for (const [index, channel] of channels.entries()) {
            const hears = channel.listeners.has(listener) || all.listeners.has(listener)
            if (!hears || channel.latest === undefined) continue
            expect(last.get(channel.topic)).toEqual({ epoch: 1, sequence: sequences[index] })
          }
        }
      }

      for (const step of actions) {
        const channel = 'topic' in step ? channels[step.topic] : undefined
        const peer = 'peer' in step ? peers[step.peer] : undefined
        if (step.do === 'publish') publish(step.topic, (sequences[step.topic] ?? 0) + step.step)
        if (step.do === 'stale' && channel !== undefined) hub.setStale(channel, step.stale)
        if (
          step.do === 'join' &&
          channel !== undefined &&
          peer !== undefined &&
          !channel.listeners.has(peer.listener) &&
          !all.listeners.has(peer.listener)
        ) {
          // As a client that returns with what it once had.
          const sequence = (sequences[step.topic] ?? 0) - step.behind
          const known = sequence < 1 || peer.recorder.slow ? undefined : { epoch: 1, sequence }
          if (known !== undefined) peer.known.set(channel.topic, known)
          hub.join(peer.listener, channel, known)
        }
        if (step.do === 'joinAll' && peer !== undefined && !all.listeners.has(peer.listener)) {
          hub.join(peer.listener, all, undefined)
          for (const channel of channels) hub.show(peer.listener, channel)
        }
        if (step.do === 'lag' && peer !== undefined) peer.recorder.slow = true
        if (step.do === 'drain') peer?.recorder.drain()
        if (step.do === 'pass') {
          await clock.advance(step.time)
          verify()
        }
      }
      for (const { recorder } of peers) recorder.drain()
      await clock.settle()

      verify()
    }),
    { numRuns: 400 },
  )
  expect(steps).toBeGreaterThan(0)
})
