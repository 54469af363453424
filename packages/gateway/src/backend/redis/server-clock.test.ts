import { expect, test } from 'vitest'
import { ServerClock } from './server-clock.ts'

/** Replies of a server whose clock shows `time` between `sentAt` and `now`, and whether each counts as a jump. */
function jumps(...replies: readonly (readonly [time: number, sentAt: number, now: number])[]): readonly boolean[] {
  const clock = new ServerClock(100)
  return replies.map((reply) => clock.jumped(...reply))
}

test('the first reply is no jump, whatever the server shows', () => {
  expect(jumps([1_000_000, 5, 6])).toEqual([false])
})

test('a clock that runs on is no jump, however slow the replies are', () => {
  expect(jumps([1000, 0, 10], [5000, 2000, 6000], [9000, 8005, 8010])).toEqual([false, false, false])
})

test.each([200, -200])('a clock that moves by %i ms between quick replies jumped', (by) => {
  expect(jumps([1000, 0, 1], [2000 + by, 1000, 1001])).toEqual([false, true])
})

test('less than the slack, or what a slow reply may explain, is no jump', () => {
  expect(jumps([1000, 0, 1], [2090, 1000, 1001])).toEqual([false, false])
  expect(jumps([1000, 0, 1], [2200, 1000, 1300])).toEqual([false, false])
})

test('after a jump the new time counts', () => {
  expect(jumps([1000, 0, 1], [12_000, 1000, 1001], [13_000, 2000, 2001])).toEqual([false, true, false])
})
