import type { Level } from '@weir/protocol'
import { type Call, LONGEST_ADDRESS } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

/** `Retry-After` of a site under maintenance, in milliseconds. */
const MAINTENANCE_RETRY_AFTER = 30_000

export interface AdmissionParts {
  readonly emit: Emit
  readonly level: () => Level
  /** Live connections that are open. */
  readonly connections: () => number
  /** Maximum live connections, with those that are about to open. */
  readonly most: number
}

/** Decides which requests are accepted. */
export interface Admission {
  /** Checks the request itself. @throws WeirError `uri_too_long`, `bad_request` for a malformed request */
  checkRequest(call: Call): void
  /** Checks that the app is open. Operators' addresses skip this check. @throws WeirError `maintenance`, `draining` */
  checkOpen(): void
  /**
   * Reserves room for another live connection, until the returned function is called: when the connection is open, and counted as such, or
   * will not be.
   *
   * @throws WeirError `too_many_connections`
   */
  reserveConnection(): () => void
  /** Stops accepting requests, except those of operators. */
  drain(): void
  readonly draining: boolean
}

export function createAdmission({ emit, level, connections, most }: AdmissionParts): Admission {
  let draining = false
  let reserved = 0

  function refuse(error: WeirError): never {
    emit({ type: 'admission.refused', code: error.code })
    throw error
  }

  return {
    checkRequest({ url, fault }) {
      if (fault !== undefined) refuse(fault)
      if (url.length > LONGEST_ADDRESS) {
        refuse(
          new WeirError(
            'uri_too_long',
            `expected an address of at most ${LONGEST_ADDRESS} characters, got ${url.length}`,
          ),
        )
      }
    },
    checkOpen() {
      if (draining) refuse(new WeirError('draining', 'The server is shutting down; reconnect.', { retryAfter: 1000 }))
      if (level() === 'maintenance') {
        refuse(
          new WeirError('maintenance', 'The site is under maintenance; retry later.', {
            retryAfter: MAINTENANCE_RETRY_AFTER,
          }),
        )
      }
    },
    reserveConnection() {
      if (connections() + reserved >= most) {
        refuse(
          new WeirError('too_many_connections', `expected at most ${most} live connections, got one more`, {
            retryAfter: 5000,
          }),
        )
      }
      reserved += 1
      let isHeld = true
      return () => {
        if (isHeld) reserved -= 1
        isHeld = false
      }
    },
    drain() {
      draining = true
    },
    get draining() {
      return draining
    },
  }
}
