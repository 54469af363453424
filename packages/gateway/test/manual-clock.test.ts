import { describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'

describe('the manual clock', () => {
  test('runs timers in the order of their moments, those of one moment in the order of their making', async () => {
    const clock = new ManualClock()
    const ran: string[] = []
    clock.after(20, () => ran.push('late'))
    clock.after(10, () => ran.push('first'))
    clock.after(10, () => ran.push('second'))
    await clock.advance(15)
    expect(ran).toEqual(['first', 'second'])
    await clock.advance(5)
    expect(ran).toEqual(['first', 'second', 'late'])
  })

  test('finishes promises and soon tasks between two timers', async () => {
    const clock = new ManualClock()
    const ran: string[] = []
    clock.after(1, () => {
      clock.soon(() => ran.push('soon'))
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => ran.push('promise'))
    })
    clock.after(2, () => ran.push('timer'))
    await clock.advance(2)
    expect(ran).toEqual(['promise', 'soon', 'timer'])
  })

  test('a timer sees its own moment, and may plan another inside the same advance', async () => {
    const clock = new ManualClock()
    const start = clock.monotonic()
    const moments: number[] = []
    const tick = () => {
      moments.push(clock.monotonic() - start)
      clock.after(10, tick)
    }
    clock.after(10, tick)
    await clock.advance(35)
    expect(moments).toEqual([10, 20, 30])
    expect(clock.monotonic() - start).toBe(35)
  })

  test('a stopped timer never runs', async () => {
    const clock = new ManualClock()
    const ran: string[] = []
    clock.after(1, () => ran.push('stopped')).stop()
    await clock.advance(10)
    expect(ran).toEqual([])
    expect(clock.timers).toBe(0)
  })

  test('the wall clock jumps alone', async () => {
    const clock = new ManualClock()
    const [wall, monotonic] = [clock.now(), clock.monotonic()]
    clock.jump(-10_000)
    await clock.advance(1)
    expect(clock.now() - wall).toBe(-9999)
    expect(clock.monotonic() - monotonic).toBe(1)
  })
})
