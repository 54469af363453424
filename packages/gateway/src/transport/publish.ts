import { isUtf8 } from 'node:buffer'
import type { Answer, Call } from '../call.ts'
import { show, WeirError } from '../errors.ts'
import { DEEPEST, isTooDeep, parseJson } from '../json.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'

/** The largest event that a client may send, in bytes. */
const LARGEST_EVENT = 65_536

/**
 * Puts the event of a client into a log, and answers its position.
 *
 * @throws WeirError `not_published`, `bad_event`, `bad_key`, `bad_request`, `body_too_large`
 */
export async function publish(
  log: LogRuntime,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): Promise<Answer> {
  const readKey = log.keyOf(parameters, call.query, call.identity, [])
  const type = call.header('content-type')
  // A form of another site could send any other type with this one's cookies, without being asked.
  if (type === undefined || !/^application\/json *(;|$)/i.test(type))
    throw new WeirError('bad_request', `content-type: expected application/json, got ${show(type)}`)
  const position = await log.submit(readKey, read(await call.body(LARGEST_EVENT)), call.identity)
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return { kind: 'whole', status: 201, headers, body: JSON.stringify({ position }) }
}

function read(body: Uint8Array): unknown {
  if (!isUtf8(body)) throw new WeirError('bad_event', 'expected JSON in UTF-8, got other bytes')
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
  if (isTooDeep(text)) throw new WeirError('bad_event', `expected JSON at most ${DEEPEST} levels deep, got more`)
  try {
    return parseJson(text)
  } catch {
    throw new WeirError('bad_event', `expected JSON, got ${show(text)}`)
  }
}
