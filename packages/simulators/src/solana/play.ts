import { type Clock, systemClock } from '../clock.ts'
import type { Lottery } from './lottery.ts'

export interface PlayOptions {
  /** Milliseconds between entries; 500 unless told. */
  readonly every?: number
  /** Milliseconds between draws; 30,000 unless told. */
  readonly draw?: number
  readonly clock?: Clock
}

/** A lottery that goes on by itself until it is stopped; `using` stops it. */
export interface Play extends Disposable {
  /** Does what is due by the clock. Happens by itself. */
  advance(): void
  stop(): void
}

/** Most entries that are made up for at once, after a sleep. */
const MOST = 100

/** Lets players enter and draws happen at an even pace. */
export function play(lottery: Lottery, options: PlayOptions = {}): Play {
  const { every = 500, draw = 30_000, clock = systemClock } = options
  if (!(every > 0)) throw new Error(`expected every to be milliseconds above 0, got ${every}`)
  if (!(draw > 0)) throw new Error(`expected draw to be milliseconds above 0, got ${draw}`)
  let entered = clock.monotonic()
  let drawn = entered
  const advance = () => {
    const now = clock.monotonic()
    entered = Math.max(entered, now - MOST * every)
    for (; entered + every <= now; entered += every) lottery.enterAnyone()
    if (now - drawn < draw) return
    drawn = now
    if (lottery.entrants.length > 0) lottery.draw()
  }
  const timer = setInterval(advance, every)
  const stop = () => clearInterval(timer)
  return { advance, stop, [Symbol.dispose]: stop }
}
