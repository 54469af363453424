import type { Problem } from '@weir/protocol'
import type { AnswerHeaders, WholeAnswer } from '../call.ts'
import { asWeirError, problemOf, WeirError } from '../errors.ts'

/** Anything thrown, as the answer that clients get: `application/problem+json` (RFC 9457). */
export function problemAnswer(thrown: unknown, headers: AnswerHeaders = {}): WholeAnswer {
  const error = asWeirError(thrown)
  return answerOf(problemOf(error), { ...error.headers, ...headers })
}

/** The next call of this client is to go to another server. */
const LEAVING: AnswerHeaders = { connection: 'close' }

/** A problem as an answer of its own. */
export function answerOf(problem: Problem, headers: AnswerHeaders = {}): WholeAnswer {
  const retry: AnswerHeaders = problem.retryAfter === undefined ? {} : { 'retry-after': String(problem.retryAfter) }
  return {
    kind: 'whole',
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...retry,
      ...(problem.code === 'draining' ? LEAVING : {}),
      ...headers,
    },
    body: JSON.stringify(problem),
  }
}

/** The answer to a WebSocket handshake where there can be none (RFC 9110, 15.5.22). */
export function noSocket(): WholeAnswer {
  const detail = 'expected a connection that can become a WebSocket, got one that can not; /weir/stream says the same'
  return problemAnswer(new WeirError('upgrade_required', detail), { upgrade: 'websocket' })
}
