import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/manual-clock.ts'
import { memoryLogs } from './logs.ts'

const BOUNDS = { events: 100, age: 60_000 }
const event = (size: number) => Buffer.alloc(size, 'x')

test('histories are bounded in bytes: the log that was longest without an event goes, and begins a larger epoch', async () => {
  const logs = memoryLogs(new ManualClock(), 10_000)
  const first = await logs.append('old', event(1000), BOUNDS)
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await logs.append(name, event(1000), BOUNDS)
  const { epoch, events, newest } = await logs.read('old', 0, 10)
  expect([events, newest, epoch > first.epoch]).toEqual([[], 0, true])
  const again = await logs.append('old', event(10), BOUNDS)
  expect([again.sequence, again.epoch > first.epoch]).toEqual([1, true])
})

test('one log does not push out the others: its own oldest events go', async () => {
  const logs = memoryLogs(new ManualClock(), 10_000)
  await logs.append('other', event(100), BOUNDS)
  for (let offset = 1; offset <= 50; offset++) await logs.append('loud', event(1000), BOUNDS)
  expect(await logs.read('loud', 0, 100)).toMatchObject({ oldest: 49, newest: 50 })
  expect(await logs.read('other', 0, 100)).toMatchObject({ oldest: 1, newest: 1 })
})

test('a log that was lost twice in one millisecond has another epoch each time', async () => {
  const logs = memoryLogs(new ManualClock(), 1000)
  const epochs = new Set<number>()
  for (let round = 0; round < 5; round++) {
    epochs.add((await logs.append('a', event(0), BOUNDS)).epoch)
    for (const name of ['b', 'c', 'd']) await logs.append(name, event(0), BOUNDS)
  }
  expect(epochs.size).toBe(5)
})

test('a jump of the wall clock ages nothing', async () => {
  const clock = new ManualClock()
  const logs = memoryLogs(clock, 10_000)
  await logs.append('a', event(1), BOUNDS)
  clock.jump(3_600_000)
  expect((await logs.read('a', 0, 10)).events).toHaveLength(1)
})
