import { LRUCache } from 'lru-cache'
import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'

/** The most memory that answers with an ETag take, for each upstream, in bytes. */
const MEMORY = 8 * 1024 * 1024

/** Headers with which a request is no longer one that all others could have made. */
const PERSONAL = ['if-none-match', 'if-modified-since', 'range', 'authorization', 'cookie']

/**
 * Asks with `If-None-Match` for what was answered with an ETag before, and gives that answer again on a 304 (RFC 9110, 13.1.2;
 * RFC 9111, 4.3). Who asked sees an answer with status 200 and today's headers.
 */
export const conditional: Stage<UpstreamRequest, Promise<UpstreamAnswer>> = (next) => {
  const known = new LRUCache<string, UpstreamAnswer>({
    maxSize: MEMORY,
    sizeCalculation: ({ body }, name) => body.byteLength + name.length * 2 + 1000,
  })

  return async (request) => {
    const { method, path, headers, kept, unconditional } = request
    const names = Object.keys(headers).map((name) => name.toLowerCase())
    // Who keeps answers of his own has conditions of his own.
    if (kept !== undefined || method !== 'GET' || PERSONAL.some((name) => names.includes(name))) return next(request)
    const name = `${path}\n${JSON.stringify(headers)}`
    if (unconditional === true) known.delete(name)
    const before = known.get(name)
    const etag = before?.headers.etag
    const answer = await next(
      etag === undefined ? request : { ...request, headers: { ...headers, 'if-none-match': etag } },
    )
    if (answer.status === 304 && before !== undefined) {
      const { age: _, ...headers } = before.headers
      const { sentAt } = answer
      const confirmed = {
        ...before,
        headers: { ...headers, ...answer.headers },
        ...(sentAt !== undefined && { sentAt }),
      }
      if (await isReadable(request, confirmed)) known.set(name, confirmed)
      else known.delete(name)
      return confirmed
    }
    // Whoever asked may be unable to read it: until that is known it is no answer that a 304 could confirm.
    known.delete(name)
    if (mayKeep(answer) && (await isReadable(request, answer))) known.set(name, answer)
    return answer
  }
}

function mayKeep({ status, headers }: UpstreamAnswer): boolean {
  return status === 200 && headers.etag !== undefined && !/\bno-store\b/i.test(headers['cache-control'] ?? '')
}

async function isReadable({ check }: UpstreamRequest, answer: UpstreamAnswer): Promise<boolean> {
  try {
    await check?.(answer)
    return true
  } catch {
    return false
  }
}
