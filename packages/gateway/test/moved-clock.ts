import { systemClock } from '../src/clock.ts'

/** The machine's clock, moved by so many milliseconds. */
export function movedClock(by = 0) {
  const moved = {
    by,
    now: () => systemClock.now() + moved.by,
    monotonic: () => systemClock.monotonic() + moved.by,
    after: systemClock.after,
    soon: systemClock.soon,
  }
  return moved
}
