import { pino } from 'pino'
import type { Emit } from '../events.ts'

/** The same trouble is told once in so many milliseconds, with how often it came: a dead upstream must not fill the disk. */
const ONCE_IN = 5000

/** Logs what an operator must know, as lines of JSON on standard error. */
export function createLog(): Emit {
  const log = pino({ name: 'weir', level: process.env.LOG_LEVEL ?? 'info' }, pino.destination({ dest: 2, sync: true }))
  const told = new Map<string, { at: number; unsaid: number }>()

  /** How often it came since it was last told; undefined when it is too soon to tell again. */
  function turn(trouble: string): number | undefined {
    const now = performance.now()
    const last = told.get(trouble)
    if (last !== undefined && now - last.at < ONCE_IN) {
      last.unsaid += 1
      return undefined
    }
    told.set(trouble, { at: now, unsaid: 0 })
    return 1 + (last?.unsaid ?? 0)
  }

  return (event) => {
    switch (event.type) {
      case 'failed':
        log.error({ where: event.where, err: event.error }, 'something failed inside the gateway')
        break
      case 'attempt.failed': {
        const times = turn(`${event.upstream} ${event.code}`)
        if (times !== undefined)
          log.warn({ upstream: event.upstream, code: event.code, detail: event.detail, times }, 'an upstream failed')
        break
      }
      case 'budget.closed':
        log.warn({ upstream: event.upstream, for: event.for, reason: event.reason }, 'an upstream asked us to wait')
        break
      case 'budget.mixed':
        log.warn(
          { upstream: event.upstream, limits: event.limits },
          'versions with different limits share an upstream: the stricter hold for all, until one of them is gone',
        )
        break
      case 'admission.level':
        log.info({ level: event.level, reason: event.reason }, 'the level changed')
        break
    }
  }
}
