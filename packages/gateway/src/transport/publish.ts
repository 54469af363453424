import type { Answer, Call } from '../call.ts'
import { show, WeirError } from '../errors.ts'
import { parseJson } from '../json.ts'
import type { LiveLog } from '../topic/live-log.ts'

/** The largest event that a client may send, in bytes. */
const LARGEST_EVENT = 65_536

/**
 * Puts the event of a client into a log, and answers its position.
 *
 * @throws WeirError `not_published`, `bad_event`, `bad_key`, `bad_request`, `body_too_large`
 */
export async function publish(log: LiveLog, call: Call, parameters: Readonly<Record<string, string>>): Promise<Answer> {
  const readKey = log.keyOf(parameters, call.query, call.identity, [])
  const type = call.header('content-type')
  // A form of another site could send any other type with this one's cookies, without being asked.
  if (type === undefined || !/^application\/json *(;|$)/i.test(type))
    throw new WeirError('bad_request', `content-type: expected application/json, got ${show(type)}`)
  const text = Buffer.from(await call.body(LARGEST_EVENT)).toString()
  const position = await log.submit(readKey, read(text), call.identity)
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return { kind: 'whole', status: 201, headers, body: JSON.stringify({ position }) }
}

function read(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    throw new WeirError('bad_event', `expected JSON, got ${show(text)}`)
  }
}
