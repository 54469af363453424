import type { Clock } from '../../clock.ts'
import { WeirError } from '../../errors.ts'

/** After this many failures in a row, nothing is sent for a while, and then one probe. Milliseconds. */
const FAILURES = 5
const REST = 500

/** Whether a server is worth asking. */
export interface Breaker {
  /** Why no command may be sent now; undefined if one may. After the pause, one may: the probe. */
  refusal(): WeirError | undefined
  /** A command that may be the probe is over. */
  over(): void
  failed(cause: unknown): WeirError
  answered(): void
  /** The server answered, though too late: the next command may try. */
  answeredLate(): void
}

export function createBreaker(clock: Clock): Breaker {
  let failures = 0
  let restUntil = 0
  let probing = false
  return {
    refusal() {
      if (failures < FAILURES) return undefined
      const now = clock.monotonic()
      if (now >= restUntil && !probing) {
        probing = true
        return undefined
      }
      const retryAfter = Math.max(1, restUntil - now)
      return new WeirError('backend_unavailable', `Redis: ${failures} commands failed in a row`, { retryAfter })
    },
    over() {
      probing = false
    },
    failed(cause) {
      failures += 1
      if (failures >= FAILURES) restUntil = clock.monotonic() + REST
      const words = cause instanceof Error ? cause.message || cause.name : String(cause)
      return new WeirError('backend_unavailable', `Redis: ${words}`, { cause, retryAfter: REST })
    },
    answered() {
      failures = 0
    },
    answeredLate() {
      failures = Math.min(failures, FAILURES - 1)
    },
  }
}
