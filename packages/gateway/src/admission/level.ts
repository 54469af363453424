import type { Level } from '@weir/protocol'
import type { Emit } from '../events.ts'

/** The operating mode of the gateway, used by cache, poller and admission. */
export interface LevelState {
  readonly now: Level
  /** The factor by which freshness and polling intervals grow. */
  readonly stretch: number
  /** Whether parts that are not essential are suspended. */
  readonly strained: boolean
  /** Sets the level of this gateway. */
  set(level: Level, reason: string): void
  /** Follows the level of an origin. Values arrive no faster than the origin sends them, so its level counts here too. */
  follow(origin: string, level: Level): void
  /** Calls `listener` after each change. */
  onChange(listener: () => void): void
}

const STRETCH: Readonly<Record<Level, number>> = { normal: 1, saver: 3, strained: 10, maintenance: 10 }

/** All levels, from `normal` to the most severe. */
export const LEVELS = Object.keys(STRETCH) as readonly Level[]

export function createLevel(emit: Emit): LevelState {
  let level: Level = 'normal'
  /** The level set on this gateway. */
  let own: Level = 'normal'
  const origins = new Map<string, Level>()
  const listeners: (() => void)[] = []

  function move(reason: string): void {
    const all = [own, ...origins.values()]
    const next = LEVELS[Math.max(...all.map((level) => LEVELS.indexOf(level)))] ?? own
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
      // An origin under maintenance serves no requests, but this gateway keeps serving the values it has.
      origins.set(origin, next === 'maintenance' ? 'strained' : next)
      move(`${origin} is ${next}`)
    },
    onChange(listener) {
      listeners.push(listener)
    },
  }
}
