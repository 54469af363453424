import { pino } from 'pino'
import { asWeirError, ConfigError, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { logOutput } from './log-output.ts'

/** The same trouble is told once in so many milliseconds, with how often it came: a dead upstream must not fill the disk. */
const ONCE_IN = 5000

/** Kinds of trouble that are remembered. */
const KINDS = 1000

const SAID = {
  'push.lost': 'the connection on which values are pushed was lost',
  'push.refused': 'an upstream pushes no value for a subscription, or one that can not be read',
} as const

/** Where it was thrown, and by what line of code: its words may name a key, and differ each time. */
function kindOf(where: string, error: unknown): string {
  const [line = ''] = (error instanceof Error && /^\s+at .*$/m.exec(error.stack ?? '')) || []
  return `${where.split(':', 1)[0]} ${error instanceof Error ? error.name : typeof error} ${line}`
}

/** Logs what an operator must know, as lines of JSON on standard error. */
export function createLog(): Emit {
  const log = pino({ name: 'weir', level: logLevel(process.env.LOG_LEVEL) }, logOutput(2))
  const told = new Map<string, { at: number; unsaid: number }>()

  /** How often it came since it was last told; undefined when it is too soon to tell again. */
  function turn(trouble: string): number | undefined {
    const now = performance.now()
    const last = told.get(trouble)
    if (last !== undefined && now - last.at < ONCE_IN) {
      last.unsaid += 1
      return undefined
    }
    told.delete(trouble)
    told.set(trouble, { at: now, unsaid: 0 })
    const [oldest] = told.keys()
    if (told.size > KINDS && oldest !== undefined) told.delete(oldest)
    return 1 + (last?.unsaid ?? 0)
  }

  return (event) => {
    switch (event.type) {
      case 'failed': {
        const { requestId } = asWeirError(event.error)
        const err = event.error instanceof WeirError ? (event.error.cause ?? event.error) : event.error
        const times = turn(kindOf(event.where, err))
        if (times !== undefined)
          log.error({ where: event.where, requestId, err, times }, 'something failed inside the gateway')
        break
      }
      case 'push.lost':
      case 'push.refused': {
        const reason = event.type === 'push.lost' ? event.why : event.reason
        const times = turn(`${event.type} ${event.feed}`)
        if (times !== undefined) log.warn({ feed: event.feed, reason, times }, SAID[event.type])
        break
      }
      case 'attempt.failed': {
        const times = turn(`${event.upstream} ${event.code}`)
        if (times !== undefined)
          log.warn(
            {
              upstream: event.upstream,
              code: event.code,
              detail: event.detail,
              requestId: event.requestId,
              err: event.cause,
              times,
            },
            'an upstream failed',
          )
        break
      }
      case 'backend.failed': {
        const times = turn(`${event.backend} ${event.reason}`)
        if (times !== undefined)
          log.error({ reason: event.reason, times }, 'Redis can not be used: values come from memory, and calls wait')
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
        // `level` is the severity of the line.
        log.info({ gatewayLevel: event.level, reason: event.reason }, 'the level changed')
        break
    }
  }
}

/** @throws ConfigError when it names no level */
function logLevel(given: string | undefined): string {
  const known = [...Object.keys(pino.levels.values), 'silent']
  const level = given || 'info'
  if (!known.includes(level)) throw new ConfigError('environment', 'LOG_LEVEL', `one of ${known.join(', ')}`, given)
  return level
}
