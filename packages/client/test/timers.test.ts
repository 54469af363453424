import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../gateway/src/clock.ts'
import { defaultPorts } from '../src/ports.ts'

const DAY = 86_400_000

// These wait for weeks: Node's timers, which overflow like those of browsers, on a manual clock.
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each([
  ['of the client', defaultPorts().after],
  ['of the gateway', (delay: number, task: () => void) => systemClock.after(delay, task).stop],
])('a timer %s accepts a duration of any size', (_, after) => {
  const ran: string[] = []
  after(30 * DAY, () => ran.push('a month'))
  after(Number.POSITIVE_INFINITY, () => ran.push('never'))
  after(60 * DAY, () => ran.push('stopped'))()
  const stop = after(60 * DAY, () => ran.push('stopped late'))
  vi.advanceTimersByTime(30 * DAY - 1)
  expect(ran).toEqual([])
  vi.advanceTimersByTime(1)
  expect(ran).toEqual(['a month'])
  stop()
  vi.advanceTimersByTime(100 * DAY)
  expect(ran).toEqual(['a month'])
})
