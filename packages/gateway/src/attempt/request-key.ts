import { createHash } from 'node:crypto'
import type { UpstreamRequest } from '../call.ts'

/** A longer key is replaced by its hash. */
const MAX_LENGTH = 120

/** Conditional headers do not make a different request. */
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'range', 'if-range']

/** The key of a request: equal requests have equal keys, however often they are sent. */
export function requestKey({ method, path, headers, body, operation, key }: UpstreamRequest): string {
  if (key !== undefined) return short(`${operation ?? ''} ${key}`)
  const relevant = Object.entries(headers).filter(([name]) => !CONDITIONS.includes(name))
  return short(`${method} ${path}\n${JSON.stringify(relevant)}\n${typeof body === 'string' ? body : ''}`, body)
}

/** The operation of a request: requests of one operation fail alike. By default its lane, or its method and path. */
export function operationOf({ operation, lane, method, path }: UpstreamRequest): string {
  return operation ?? lane ?? short(`${method} ${path.split('?', 1)[0]}`)
}

function short(text: string, body?: UpstreamRequest['body']): string {
  const bytes = body instanceof Uint8Array
  if (text.length <= MAX_LENGTH && !bytes) return text
  const hash = createHash('sha256').update(text)
  return (bytes ? hash.update(body) : hash).digest('base64')
}
