import { isUtf8 } from 'node:buffer'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { UpstreamAnswer } from '../call.ts'
import { show, WeirError } from '../errors.ts'
import { parseJson } from '../json.ts'

/** Types under which JSON comes though they say nothing of it; a page of HTML is none of them. */
const SAYS_NOTHING =
  /^(text\/plain|text\/javascript|application\/octet-stream|application\/javascript|binary\/octet-stream)\b/i

/**
 * The JSON of an answer, whole numbers beyond 2^53 as bigint. It may have another type, or none, and begin with a byte order mark.
 *
 * @param what the call, for messages
 * @throws WeirError `upstream_invalid`
 */
export function jsonOf(what: string, { headers, body }: UpstreamAnswer): unknown {
  const type = headers['content-type'] ?? ''
  if (type !== '' && !/\bjson\b/i.test(type) && !SAYS_NOTHING.test(type))
    throw new WeirError('upstream_invalid', `${what}: expected JSON, got ${show(type)}`)
  if (!isUtf8(body)) throw new WeirError('upstream_invalid', `${what}: expected JSON in UTF-8, got other bytes`)
  try {
    return parseJson(body.toString())
  } catch (cause) {
    const words = messageOf(cause)
    const got = `expected JSON, got ${show(body.subarray(0, 60).toString())}`
    throw new WeirError('upstream_invalid', `${what}: ${/^expected a number/.test(words) ? words : got}`, { cause })
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : ''
}

/**
 * What a schema makes of what was answered; without one it stays as it came.
 *
 * @throws WeirError `upstream_invalid`
 */
export async function validated(what: string, value: unknown, schema: StandardSchemaV1 | undefined): Promise<unknown> {
  if (schema === undefined) return value
  const checked = await schema['~standard'].validate(value)
  if (checked.issues === undefined) return checked.value
  const issue = checked.issues[0]
  const path = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  throw new WeirError(
    'upstream_invalid',
    `${what}: ${path === '' ? 'the answer' : path}: ${issue?.message ?? 'refused by its schema'}`,
  )
}

/** Reads each body once, however often an answer with it is read: where it is checked, and where its value is wanted. */
export function reading<Value>(
  read: (answer: UpstreamAnswer) => Promise<Value>,
): (answer: UpstreamAnswer) => Promise<Value> {
  const values = new WeakMap<Buffer, Promise<Value>>()
  return (answer) => {
    const known = values.get(answer.body)
    if (known !== undefined) return known
    const value = Promise.resolve(answer).then(read)
    values.set(answer.body, value)
    return value
  }
}
