import type { Level } from '@weir/protocol'
import { type Call, LONGEST_ADDRESS } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

/** How long clients of a site that is being maintained should wait, in milliseconds. */
const MAINTAINED_FOR = 30_000

export interface AdmissionParts {
  readonly emit: Emit
  readonly level: () => Level
  readonly connections: () => number
  /** The most live connections. */
  readonly most: number
}

/** Who may come in now. */
export interface Admission {
  /** Any call. @throws WeirError `uri_too_long`, `bad_request` for a malformed request */
  admit(call: Call): void
  /** A call for what the app gives; operators' addresses are not shed. @throws WeirError `maintenance`, `draining` */
  serve(): void
  /** A connection that stays. @throws WeirError `too_many_connections` */
  hold(): void
  /** From now on only operators are let in. */
  drain(): void
  readonly draining: boolean
}

export function createAdmission({ emit, level, connections, most }: AdmissionParts): Admission {
  let draining = false

  function refuse(error: WeirError): never {
    emit({ type: 'admission.refused', code: error.code })
    throw error
  }

  return {
    admit({ url, fault }) {
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
    serve() {
      if (draining)
        refuse(new WeirError('draining', 'This server is going away; another takes over.', { retryAfter: 1000 }))
      if (level() === 'maintenance') {
        refuse(
          new WeirError('maintenance', 'The operator has closed this site for now.', { retryAfter: MAINTAINED_FOR }),
        )
      }
    },
    hold() {
      if (connections() >= most) {
        refuse(
          new WeirError('too_many_connections', `expected fewer than ${most} live connections, got one more`, {
            retryAfter: 5000,
          }),
        )
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
