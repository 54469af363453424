import type { AnswerHeaders, WholeAnswer } from '../call.ts'
import { readDate } from './date.ts'
import { type Fields, namesTag } from './fields.ts'
import type { Received } from './received.ts'

/** The parts of a client's request that a cache evaluates. */
export interface Reader {
  readonly method: string
  /** Fields of the client's request. */
  readonly fields: Fields
}

/** Fields of the answer that a 304 keeps (RFC 9110, 15.4.5). */
const IN_304 = [
  'age',
  'cache-control',
  'cache-status',
  'cdn-cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'last-modified',
  'vary',
  'via',
]

/**
 * The answer for one client: the whole, 304 if the client has it (RFC 9110, 13), or the requested range (14).
 *
 * @param headers fields of the answer; the caller no longer uses them
 */
export function answerFor(
  { method, fields }: Reader,
  received: Received,
  headers: AnswerHeaders,
  now: number,
): WholeAnswer {
  const { status, body, method: asked } = received
  // An answer to HEAD has no body, and may state the length of one.
  const whole: WholeAnswer = { kind: 'whole', status, headers, body: asked === 'HEAD' ? null : body }
  if (status !== 200 || (method !== 'GET' && method !== 'HEAD')) return whole
  if (isNotModified(fields, received, now)) {
    const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => IN_304.includes(name)))
    return { kind: 'whole', status: 304, headers: kept, body: null }
  }
  // A part of a part would have wrong byte positions, and HEAD has no ranges.
  if (method === 'HEAD' || fields.range === undefined || 'content-range' in headers) return whole
  if (!isSameContent(fields['if-range'], received, now)) return whole
  const range = readRange(fields.range, body.length)
  if (range === undefined) return whole
  if (range === 'none') {
    return { kind: 'whole', status: 416, headers: without(headers, `bytes */${body.length}`), body: null }
  }
  const [first, last] = range
  const part = without(headers, `bytes ${first}-${last}/${body.length}`)
  return { kind: 'whole', status: 206, headers: part, body: body.subarray(first, last + 1) }
}

/** Fields of a partial answer: its length differs from that of the whole. */
function without({ 'content-length': _, ...others }: AnswerHeaders, range: string): AnswerHeaders {
  return { ...others, 'content-range': range }
}

/**
 * Whether the client already has this content. `If-None-Match` takes precedence over `If-Modified-Since` (RFC 9110,
 * 13.2.2).
 */
function isNotModified(
  fields: Fields,
  { fields: { etag, 'last-modified': changed, date } }: Received,
  now: number,
): boolean {
  const tags = fields['if-none-match']
  if (tags !== undefined) return tags.trim() === '*' || namesTag(tags, etag, 'weakly')
  const since = readDate(fields['if-modified-since'], now)
  const changedAt = readDate(changed ?? date, now)
  return since !== undefined && changedAt !== undefined && changedAt <= since
}

/** Whether the content is still the one of which the client has a part (RFC 9110, 13.1.5). */
function isSameContent(condition: string | undefined, { fields }: Received, now: number): boolean {
  if (condition === undefined) return true
  if (/^(W\/)?"/.test(condition)) return namesTag(condition, fields.etag, 'strongly')
  const date = readDate(condition, now)
  return date !== undefined && date === readDate(fields['last-modified'], now)
}

/** The first and last byte of a single range; undefined: send everything; `none`: no such bytes exist. */
function readRange(field: string, length: number): readonly [first: number, last: number] | 'none' | undefined {
  const [, from = '', to = ''] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(field) ?? []
  if (from === '' && to === '') return undefined
  if (from === '') return Number(to) === 0 || length === 0 ? 'none' : [Math.max(0, length - Number(to)), length - 1]
  if (to !== '' && Number(to) < Number(from)) return undefined
  if (Number(from) >= length) return 'none'
  return [Number(from), to === '' ? length - 1 : Math.min(length - 1, Number(to))]
}
