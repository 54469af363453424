import { pino } from 'pino'
import { asWeirError, ConfigError, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { logOutput } from './log-output.ts'

/** Minimum time between log lines of the same fault, in milliseconds. A dead upstream must not fill the disk. */
const LOG_INTERVAL = 5000

/** Limit of remembered kinds of faults. */
const KIND_LIMIT = 1000

const PUSH_MESSAGES = {
  'push.lost': 'lost the connection to a push upstream',
  'push.refused': 'an upstream refused a subscription or pushed an invalid value',
} as const

/** Groups errors by the line that threw them, since a message may contain a key and differ each time. */
function kindOf(where: string, error: unknown): string {
  const [line = ''] = (error instanceof Error && /^\s+at .*$/m.exec(error.stack ?? '')) || []
  return `${where.split(':', 1)[0]} ${error instanceof Error ? error.name : typeof error} ${line}`
}

/** Logs what an operator must know, as lines of JSON on standard error. */
export function createLog(): Emit {
  const log = pino({ name: 'weir', level: logLevel(process.env.LOG_LEVEL) }, logOutput(2))
  const logged = new Map<string, { at: number; suppressed: number }>()

  /** How many times a fault occurred since its last log line; undefined when it is too soon for another line. */
  function occurrences(trouble: string): number | undefined {
    const now = performance.now()
    const last = logged.get(trouble)
    if (last !== undefined && now - last.at < LOG_INTERVAL) {
      last.suppressed += 1
      return undefined
    }
    logged.delete(trouble)
    logged.set(trouble, { at: now, suppressed: 0 })
    const [oldest] = logged.keys()
    if (logged.size > KIND_LIMIT && oldest !== undefined) logged.delete(oldest)
    return 1 + (last?.suppressed ?? 0)
  }

  return (event) => {
    switch (event.type) {
      case 'failed': {
        const { requestId } = asWeirError(event.error)
        const err = event.error instanceof WeirError ? (event.error.cause ?? event.error) : event.error
        const times = occurrences(kindOf(event.where, err))
        if (times !== undefined) log.error({ where: event.where, requestId, err, times }, 'internal error')
        break
      }
      case 'push.lost':
      case 'push.refused': {
        const reason = event.type === 'push.lost' ? event.why : event.reason
        const times = occurrences(`${event.type} ${event.feed}`)
        if (times !== undefined) log.warn({ feed: event.feed, reason, times }, PUSH_MESSAGES[event.type])
        break
      }
      case 'attempt.failed': {
        const times = occurrences(`${event.upstream} ${event.code}`)
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
            'upstream call failed',
          )
        break
      }
      case 'backend.failed': {
        const times = occurrences(`${event.backend} ${event.reason}`)
        if (times !== undefined)
          log.error(
            { reason: event.reason, times },
            'Redis is unavailable: values come from memory, and upstream calls wait',
          )
        break
      }
      case 'budget.closed':
        log.warn({ upstream: event.upstream, for: event.for, reason: event.reason }, 'an upstream asked to slow down')
        break
      case 'budget.mixed':
        log.warn(
          { upstream: event.upstream, limits: event.limits },
          'processes with different limits share an upstream: the stricter limits apply until they agree',
        )
        break
      case 'admission.level':
        // pino uses `level` for the severity.
        log.info({ gatewayLevel: event.level, reason: event.reason }, 'the level changed')
        break
    }
  }
}

/** @throws ConfigError when `given` is not a level */
function logLevel(given: string | undefined): string {
  const known = [...Object.keys(pino.levels.values), 'silent']
  const level = given || 'info'
  if (!known.includes(level)) throw new ConfigError('environment', 'LOG_LEVEL', `one of ${known.join(', ')}`, given)
  return level
}
