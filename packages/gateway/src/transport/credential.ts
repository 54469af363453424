import { hash } from 'node:crypto'
import type { Answer, Call, Connection, ConnectionOwner, Identity, MessageSocket } from '../call.ts'
import type { Clock } from '../clock.ts'
import { problemOf, WeirError } from '../errors.ts'
import { type Hub, Listener } from '../hub/hub.ts'
import { Peer } from './peers.ts'
import { problemAnswer } from './problem.ts'

/** Moments before this, in milliseconds since 1970, are moments in seconds by mistake, as `exp` of a JSON Web Token is. */
const FIRST_MOMENT = 1e11

/** Letters of the text by which a caller is recognised. */
const CALLER_LENGTH = 22

/**
 * Which caller it is, as an opaque text: clients drop what they hold of one caller when a connection serves another. Undefined where the
 * caller is not known.
 */
export function callerOf(identity: Identity | undefined): string | undefined {
  const { tenant = '', user = '' } = identity ?? {}
  if (tenant === '' && user === '') return undefined
  return hash('sha256', JSON.stringify([tenant, user]), 'base64url').slice(0, CALLER_LENGTH)
}

/** An identity as of now: one that has expired counts as none. */
export function current(identity: Identity | undefined, clock: Clock): Identity | undefined {
  return untilExpiry(identity, clock) > 0 ? identity : undefined
}

/** Milliseconds for which an identity holds; `Infinity` where it has no end. */
export function untilExpiry(identity: Identity | undefined, clock: Clock): number {
  const expires = identity?.expires
  if (expires === undefined) return Number.POSITIVE_INFINITY
  const moment = Number(expires)
  if (!(moment >= FIRST_MOMENT))
    throw new TypeError(`identify: expires: expected a Date or milliseconds since 1970, got ${String(expires)}`)
  return moment - clock.now()
}

/**
 * The answer to a caller, bounded by the caller's credential: a live one ends with it, and one that comes later is refused. The client gets
 * the code `credential_expired`, and comes back with a credential that holds.
 */
export function bounded(answer: Answer, { identity }: Call, clock: Clock, hub: Hub): Answer {
  const left = untilExpiry(identity, clock)
  if (left === Number.POSITIVE_INFINITY) return answer
  if (answer.kind === 'whole') return left > 0 ? answer : problemAnswer(expired(), { 'cache-control': 'no-store' })
  const end = (owner: ConnectionOwner): void => {
    if (owner instanceof Peer) owner.expire(problemOf(expired()))
    else if (owner instanceof Listener) hub.disconnect(owner, problemOf(expired()))
  }
  if (answer.kind === 'live') {
    return {
      ...answer,
      open(connection: Connection) {
        answer.open(connection)
        endLater(connection, left, clock, end)
      },
    }
  }
  return {
    ...answer,
    open(socket: MessageSocket) {
      answer.open(socket)
      endLater(socket, left, clock, end)
    },
  }
}

/** The timer goes with the connection. */
function endLater(
  connection: { owner: ConnectionOwner | undefined },
  left: number,
  clock: Clock,
  end: (owner: ConnectionOwner) => void,
): void {
  const { owner } = connection
  if (owner === undefined) return
  const timer = clock.after(Math.max(0, left), () => end(owner))
  connection.owner = {
    drained: () => owner.drained(),
    closed() {
      timer.stop()
      owner.closed()
    },
  }
}

function expired(): WeirError {
  return new WeirError(
    'credential_expired',
    'The credential of this connection has expired: renew it, then connect again.',
  )
}
