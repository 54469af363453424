import { expect, test } from 'vitest'
import { stored } from '../../test/content.ts'
import { ManualClock } from '../../test/manual-clock.ts'
import { jsonWire, Recorder, stepWire } from '../../test/recorder.ts'
import { Entry } from '../entry.ts'
import { type Channel, createHub, type Wire } from './hub.ts'

function open(wire: Wire = jsonWire()) {
  const clock = new ManualClock()
  const hub = createHub({ clock, emit: () => {}, level: () => 'normal', heartbeat: 10_000 })
  const publish = (to: Channel, sequence: number) =>
    hub.publish(to, new Entry(to.topic, {}, stored(sequence, { sequence }), clock.monotonic()))
  const recorder = new Recorder()
  const listener = hub.listen(recorder, wire)
  const said = () => recorder.heard.map(({ type, topic, version }) => `${type} ${topic} ${version?.split(':')[1]}`)
  return { clock, hub, publish, recorder, listener, said }
}

test('a listener that left a channel gets nothing more of it, not even what was pending, and everything else', async () => {
  const { clock, hub, publish, listener, said } = open()
  const [a, b] = [hub.channel('/a'), hub.channel('/b')]
  hub.join(listener, a, undefined)
  hub.join(listener, b, undefined)
  publish(a, 1)
  publish(b, 1)
  hub.leave(listener, a)
  hub.leave(listener, a)
  await clock.settle()
  expect(said()).toEqual(['snapshot /b 1'])
  publish(a, 2)
  publish(b, 2)
  await clock.settle()
  await clock.advance(10_000)
  expect(said().filter((text) => text.includes('/a'))).toEqual([])
  expect([a.listeners.size, listener.channels]).toEqual([0, [b]])
})

test('a listener that joins again in the same tick gets the latest, once', async () => {
  const { clock, hub, publish, listener, said } = open()
  const a = hub.channel('/a')
  hub.join(listener, a, undefined)
  publish(a, 1)
  hub.leave(listener, a)
  hub.join(listener, a, undefined)
  publish(a, 2)
  await clock.settle()
  expect(said()).toEqual(['snapshot /a 2'])
})

test('a lagging listener that left a channel does not get it when it has caught up', async () => {
  const { clock, hub, publish, recorder, listener, said } = open()
  const [a, b] = [hub.channel('/a'), hub.channel('/b')]
  for (const channel of [a, b]) hub.join(listener, channel, undefined)
  recorder.slow = true
  publish(a, 1)
  await clock.settle()
  publish(a, 2)
  publish(b, 2)
  await clock.settle()
  hub.leave(listener, a)
  recorder.drain()
  await clock.settle()
  expect(said()).toEqual(['snapshot /a 1', 'snapshot /b 2'])
})

test('a listener that leaves and joins again gets a whole entry, and steps from there', async () => {
  const { clock, hub, publish, recorder, listener, said } = open(stepWire())
  const a = hub.channel('/a')
  hub.join(listener, a, undefined)
  publish(a, 1)
  await clock.settle()
  hub.leave(listener, a)
  publish(a, 2)
  await clock.settle()
  hub.join(listener, a, undefined)
  publish(a, 3)
  await clock.settle()
  publish(a, 4)
  await clock.settle()
  expect(said()).toEqual(['snapshot /a 1', 'snapshot /a 3', 'patch /a 4'])
  expect(recorder.heard.at(-1)?.from).toBe('1:3')
})
