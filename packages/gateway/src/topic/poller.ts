import type { Clock, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'

export interface PollerParts<Watched> {
  readonly feed: string
  readonly clock: Clock
  readonly emit: Emit
  /** How often a watched value is asked for now, in milliseconds. */
  readonly every: () => number
  /** What is to be asked in this round; empty stops the poller until it is woken. */
  readonly due: () => readonly Watched[]
  /** Asks for one, and says whether it came. Those of a round are asked together, so that they share calls. */
  readonly ask: (watched: Watched) => Promise<boolean>
}

export interface Poller {
  /** Something is watched: begins, unless it already runs. */
  wake(): void
  stop(): void
  /** How long the last round took, in milliseconds. */
  readonly took: number
}

/** Asks in rounds for what is watched. A round that takes longer than the interval delays the next: rounds never pile up. */
export function createPoller<Watched>({ feed, clock, emit, every, due, ask }: PollerParts<Watched>): Poller {
  let timer: Timer | undefined
  let running = false
  let stopped = false
  let took = 0

  async function round(): Promise<void> {
    timer = undefined
    const watched = due()
    if (watched.length === 0) {
      running = false
      return
    }
    const started = clock.monotonic()
    const came = await Promise.all(watched.map(ask))
    took = clock.monotonic() - started
    emit({ type: 'poller.round', feed, keys: watched.length, failed: came.filter((one) => !one).length, took })
    plan(Math.max(0, every() - took))
  }

  function plan(delay: number): void {
    if (stopped) return
    timer = clock.after(delay, () => {
      round().catch((error) => {
        emit({ type: 'failed', where: `poller of ${feed}`, error })
        plan(every())
      })
    })
  }

  return {
    wake() {
      if (running || stopped) return
      running = true
      plan(every())
    },
    stop() {
      stopped = true
      timer?.stop()
    },
    get took() {
      return took
    },
  }
}
