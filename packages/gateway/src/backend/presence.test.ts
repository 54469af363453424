import { expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import type { WeirEvent } from '../events.ts'
import { memoryBackend } from './memory/backend.ts'
import { createPresence } from './presence.ts'

/** Nodes on one bus, by their names. */
function opened() {
  const clock = new ManualClock()
  const { bus } = memoryBackend(clock, 1000)
  const events: WeirEvent[] = []
  const open = (node: string) =>
    createPresence({
      node,
      version: '1.0.0',
      bus,
      clock,
      emit: (event) => void events.push(event),
      level: () => 'normal',
      connections: () => 7,
    })
  return { clock, events, open, bus }
}

const names = (nodes: ReturnType<typeof createPresence>) => nodes.all().map(({ node }) => node)

test('who comes knows the others at once, and they know it', async () => {
  const { clock, open } = opened()
  const one = open('one')
  await clock.advance(500)
  const other = open('other')
  expect(names(one)).toEqual(['one', 'other'])
  expect(names(other)).toEqual(['one', 'other'])
  expect(other.all()[0]).toMatchObject({ since: clock.now() - 500, connections: 7, level: 'normal' })
})

test('who goes is gone at once', () => {
  const { open, events } = opened()
  const [one, other] = [open('one'), open('other')]
  other.close()
  expect(names(one)).toEqual(['one'])
  expect(events).toContainEqual({ type: 'nodes.counted', alive: 2 })
  expect(events.at(-1)).toEqual({ type: 'nodes.counted', alive: 1 })
})

test('who lives stays, and who is not heard is gone after 7 s', async () => {
  const { clock, open, bus } = opened()
  const one = open('one')
  open('other')
  const { node: _, ...load } = one.all()[0] ?? {}
  bus.broadcast('nodes', JSON.stringify({ ...load, node: 'dies' }))
  expect(names(one)).toContain('dies')
  await clock.advance(6900)
  expect(names(one)).toContain('dies')
  await clock.advance(200)
  expect(names(one)).toEqual(['one', 'other'])
  await clock.advance(60_000)
  expect(names(one)).toEqual(['one', 'other'])
})

test('a node alone is itself', () => {
  const clock = new ManualClock()
  const alone = createPresence({
    ...{ node: 'one', version: '1.0.0', bus: undefined, clock, emit: () => {} },
    ...{ level: () => 'saver', connections: () => 1 },
  })
  expect(alone.all()).toMatchObject([{ node: 'one', level: 'saver', connections: 1 }])
  alone.close()
})
