import { isUtf8 } from 'node:buffer'
import type { Height, UpstreamAnswer, UpstreamRequest } from '../../call.ts'
import { show, WeirError } from '../../errors.ts'
import { parseJson } from '../../json.ts'
import { isRecord } from '../../options.ts'
import { jsonOf } from '../answer.ts'
import { EXHAUSTED } from './rate-limits.ts'

/**
 * The upstream answered a call with an error of JSON-RPC. `upstream_refused`: for what was asked, so that asking again would not help.
 * `upstream_failed`: it may answer later.
 */
export class JsonRpcError extends WeirError {
  /** Its code there, such as -32602. */
  readonly rpcCode: number
  /** Its words there. */
  readonly rpcMessage: string
  /** What it says beside, if anything. */
  readonly data: unknown

  constructor(what: string, { code, message, data }: RpcFailure, { status, rest }: UpstreamAnswer) {
    const words = `${what}: answered ${code}: ${message.slice(0, 200).replace(/\s+/g, ' ')}`
    super(status >= 500 ? 'upstream_failed' : 'upstream_refused', words, {
      upstreamStatus: status,
      ...(rest === undefined ? {} : { retryAfter: rest }),
    })
    this.rpcCode = code
    this.rpcMessage = message
    this.data = data
  }
}

/** The error object of an answer (JSON-RPC 2.0, 5.1). */
interface RpcFailure {
  readonly code: number
  readonly message: string
  readonly data: unknown
}

/** What an answer of JSON-RPC means to those who judge by a status. */
interface Meaning {
  readonly status: number
  /** Another node may answer what this one refused for what was asked. */
  readonly elsewhere?: true
}

/**
 * The status that an answer should have had: JSON-RPC says most errors in answers of 200, and nodes differ in the rest.
 * 429: wait, or ask another. 503: the node is behind or unwell, so another may do better, or it later. 401, 403: our key. Every other error
 * is for whoever called, and is no failure of the node, whatever status it came with.
 */
export function rpcMeaning({ status, body }: UpstreamAnswer): Meaning {
  // Large answers are results: they are looked through, and not parsed a second time.
  if (!body.includes('"error"')) return { status }
  const failure = failureIn(parsed(body))
  if (failure === undefined) return { status }
  const { code, message } = failure
  if (code === 429 || code === -32429 || EXHAUSTED.test(message)) return { status: 429 }
  switch (code) {
    // Some say by this that a limit is reached, and most that they are behind.
    case -32005:
      return { status: /limit/i.test(message) ? 429 : 503 }
    case -32603:
      return { status: 503 }
    case -32401:
      return { status: 401 }
    case -32403:
      return { status: 403 }
    // The slot that was asked for is yet to come: on this node.
    case -32016:
      return { status: callers(status), elsewhere: true }
    default:
      return { status: callers(status) }
  }
}

/** Some answer calls that they refuse with the status of a failure of their own. */
function callers(status: number): number {
  return status >= 500 ? 400 : status
}

export function rpcStatus(answer: UpstreamAnswer): number {
  return rpcMeaning(answer).status
}

/**
 * The slot that a node of Solana says it was at: beside a value (`context`), when one was asked for that it has not reached, or as the answer to
 * `getSlot`. Slots of different commitment lie apart by design.
 */
export function slotOf({ body: asked }: UpstreamRequest, { body }: UpstreamAnswer): Height | undefined {
  const call = typeof asked === 'string' ? asked : ''
  // It comes before the value, which may be large.
  const head = body.toString('latin1', 0, 400)
  const said = /"context":\{[^{}]*"slot":(\d+)|"contextSlot":(\d+)/.exec(head)
  const alone = /"method":"getSlot"[,}]/.test(call.slice(0, 100)) ? /"result":(\d+)[,}]/.exec(head) : null
  const at = Number(said?.[1] ?? said?.[2] ?? alone?.[1])
  if (Number.isNaN(at)) return undefined
  return { of: /"commitment":"(\w+)"/.exec(call)?.[1] ?? 'finalized', at }
}

/**
 * The result of the call with this id. Nothing but the id says whose an answer is; an error may come without one, since who could not read
 * the call does not know it (JSON-RPC 2.0, 5).
 *
 * @param what the call, for messages
 * @throws JsonRpcError when the upstream refuses the call
 * @throws WeirError `upstream_invalid` when it is no answer to this call, `upstream_failed` for another status than 200
 */
export function resultOf(what: string, answer: UpstreamAnswer, id: number): unknown {
  const { status, rest } = answer
  const said = status >= 400 ? parsed(answer.body) : jsonOf(what, answer)
  const given = isRecord(said) ? said.id : undefined
  const failure = failureIn(said)
  if (failure !== undefined && (given === id || given === undefined || given === null))
    throw new JsonRpcError(what, failure, answer)
  if (status >= 400) {
    const details = { upstreamStatus: status, ...(rest === undefined ? {} : { retryAfter: rest }) }
    throw new WeirError('upstream_failed', `${what}: answered ${status}`, details)
  }
  if (!isRecord(said)) throw new WeirError('upstream_invalid', `${what}: expected one answer, got ${show(said)}`)
  if (given !== id)
    throw new WeirError('upstream_invalid', `${what}: expected the answer to call ${id}, got that to ${show(given)}`)
  if (!('result' in said)) throw new WeirError('upstream_invalid', `${what}: expected a result, got ${show(said)}`)
  return said.result
}

/** The error of an answer, if it is one. */
export function failureIn(said: unknown): RpcFailure | undefined {
  if (!isRecord(said) || !isRecord(said.error)) return undefined
  const { code, message, data } = said.error
  return typeof code === 'number' ? { code, message: typeof message === 'string' ? message : '', data } : undefined
}

/** Undefined for what is no JSON. */
function parsed(body: Buffer): unknown {
  if (!isUtf8(body)) return undefined
  try {
    return parseJson(body.toString())
  } catch {
    return undefined
  }
}
