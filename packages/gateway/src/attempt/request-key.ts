import { createHash } from 'node:crypto'
import type { UpstreamRequest } from '../call.ts'

/** A longer key is kept as its hash. */
const LONGEST = 120

/** Conditions on an answer make no other request of it. */
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'range', 'if-range']

/** What a request asks for: requests that ask for the same have the same key, however often they are sent. */
export function requestKey({ method, path, headers, body, operation, key }: UpstreamRequest): string {
  if (key !== undefined) return short(`${operation ?? ''} ${key}`)
  const said = Object.entries(headers).filter(([name]) => !CONDITIONS.includes(name))
  return short(`${method} ${path}\n${JSON.stringify(said)}\n${typeof body === 'string' ? body : ''}`, body)
}

/** What a request is one of: requests of one operation fail alike. By default its lane, or its method and path. */
export function operationOf({ operation, lane, method, path }: UpstreamRequest): string {
  return operation ?? lane ?? short(`${method} ${path.split('?', 1)[0]}`)
}

function short(text: string, body?: UpstreamRequest['body']): string {
  const bytes = body instanceof Uint8Array
  if (text.length <= LONGEST && !bytes) return text
  const hash = createHash('sha256').update(text)
  return (bytes ? hash.update(body) : hash).digest('base64')
}
