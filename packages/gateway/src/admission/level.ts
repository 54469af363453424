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
  /** Calls `listener` after each change. */
  onChange(listener: () => void): void
}

const STRETCH: Readonly<Record<Level, number>> = { normal: 1, saver: 3, strained: 10, maintenance: 10 }

/** Every level, the calmest first. */
export const LEVELS = Object.keys(STRETCH) as readonly Level[]

export function createLevel(emit: Emit): LevelState {
  let level: Level = 'normal'
  const listeners: (() => void)[] = []
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
      if (next === level) return
      level = next
      emit({ type: 'admission.level', level, reason })
      for (const listener of listeners) listener()
    },
    onChange(listener) {
      listeners.push(listener)
    },
  }
}
