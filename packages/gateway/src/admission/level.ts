import type { Level } from '@weir/protocol'
import type { Emit } from '../events.ts'

/** How hard the gateway is pressed: an input to cache, poller and admission. */
export interface LevelState {
  readonly now: Level
  /** How much longer values are fresh, and intervals, than when all is well. */
  readonly stretch: number
  /** Whether what is not essential rests. */
  readonly strained: boolean
  /** Sets it by hand. */
  set(level: Level, reason: string): void
  /** How hard an origin is pressed: what comes from there comes no faster than that, so it counts here too. */
  follow(origin: string, level: Level): void
  /** Calls `listener` after each change. */
  onChange(listener: () => void): void
}

const STRETCH: Readonly<Record<Level, number>> = { normal: 1, saver: 3, strained: 10, maintenance: 10 }

/** Every level, the calmest first. */
export const LEVELS = Object.keys(STRETCH) as readonly Level[]

export function createLevel(emit: Emit): LevelState {
  let level: Level = 'normal'
  /** As it was set here. */
  let own: Level = 'normal'
  const origins = new Map<string, Level>()
  const listeners: (() => void)[] = []

  function move(reason: string): void {
    const all = [own, ...origins.values()]
    const next = LEVELS[Math.max(...all.map((one) => LEVELS.indexOf(one)))] ?? own
    if (next === level) return
    level = next
    emit({ type: 'admission.level', level, reason })
    for (const listener of listeners) listener()
  }

  return {
    get now() {
      return level
    },
    get stretch() {
      return STRETCH[level]
    },
    get strained() {
      return level === 'strained' || level === 'maintenance'
    },
    set(next, reason) {
      own = next
      move(reason)
    },
    follow(origin, next) {
      // An origin under maintenance serves nobody; we serve what we have.
      origins.set(origin, next === 'maintenance' ? 'strained' : next)
      move(`${origin} is ${next}`)
    },
    onChange(listener) {
      listeners.push(listener)
    },
  }
}
