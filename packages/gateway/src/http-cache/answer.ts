import type { AnswerHeaders, WholeAnswer } from '../call.ts'
import { readDate } from './date.ts'
import { type Fields, namesTag } from './fields.ts'
import type { Received } from './received.ts'

/** What a client asked for, of what a cache may judge by itself. */
export interface Reader {
  readonly method: string
  /** Fields of the client's request. */
  readonly fields: Fields
}

/** Fields that a 304 has, of those that the answer would have had (RFC 9110, 15.4.5). */
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
 * What one client gets of an answer: all of it, 304 when it has it already (RFC 9110, 13), or the range that it asked for (14).
 *
 * @param headers fields of the answer, of which the caller lets go
 */
export function answerFor(
  { method, fields }: Reader,
  received: Received,
  headers: AnswerHeaders,
  now: number,
): WholeAnswer {
  const { status, body, method: asked } = received
  // What answers HEAD has no body, and may name the length that one would have.
  const whole: WholeAnswer = { kind: 'whole', status, headers, body: asked === 'HEAD' ? null : body }
  if (status !== 200 || (method !== 'GET' && method !== 'HEAD')) return whole
  if (hasIt(fields, received, now)) {
    const few = Object.fromEntries(Object.entries(headers).filter(([name]) => IN_304.includes(name)))
    return { kind: 'whole', status: 304, headers: few, body: null }
  }
  // A part of a part would name the wrong bytes; and HEAD has no ranges.
  if (method === 'HEAD' || fields.range === undefined || 'content-range' in headers) return whole
  if (!stillHas(fields['if-range'], received, now)) return whole
  const range = readRange(fields.range, body.length)
  if (range === undefined) return whole
  if (range === 'none') {
    return { kind: 'whole', status: 416, headers: without(headers, `bytes */${body.length}`), body: null }
  }
  const [first, last] = range
  const part = without(headers, `bytes ${first}-${last}/${body.length}`)
  return { kind: 'whole', status: 206, headers: part, body: body.subarray(first, last + 1) }
}

/** Fields of a part: its length is not the length of all. */
function without({ 'content-length': _, ...others }: AnswerHeaders, range: string): AnswerHeaders {
  return { ...others, 'content-range': range }
}

/** Whether a client has this content. `If-None-Match` goes before `If-Modified-Since` (RFC 9110, 13.2.2). */
function hasIt(fields: Fields, { fields: { etag, 'last-modified': changed, date } }: Received, now: number): boolean {
  const tags = fields['if-none-match']
  if (tags !== undefined) return tags.trim() === '*' || namesTag(tags, etag, 'weakly')
  const since = readDate(fields['if-modified-since'], now)
  const changedAt = readDate(changed ?? date, now)
  return since !== undefined && changedAt !== undefined && changedAt <= since
}

/** Whether the content is still the one that a client has a part of (RFC 9110, 13.1.5). */
function stillHas(condition: string | undefined, { fields }: Received, now: number): boolean {
  if (condition === undefined) return true
  if (/^(W\/)?"/.test(condition)) return namesTag(condition, fields.etag, 'strongly')
  const date = readDate(condition, now)
  return date !== undefined && date === readDate(fields['last-modified'], now)
}

/** The first and the last byte of the one range asked for; undefined: all of it is sent; none: no such bytes are there. */
function readRange(field: string, length: number): readonly [first: number, last: number] | 'none' | undefined {
  const [, from = '', to = ''] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(field) ?? []
  if (from === '' && to === '') return undefined
  if (from === '') return Number(to) === 0 || length === 0 ? 'none' : [Math.max(0, length - Number(to)), length - 1]
  if (to !== '' && Number(to) < Number(from)) return undefined
  if (Number(from) >= length) return 'none'
  return [Number(from), to === '' ? length - 1 : Math.min(length - 1, Number(to))]
}
