import type { IncomingMessage } from 'node:http'
import { HOST } from '../call.ts'
import { show, WeirError } from '../errors.ts'

/** The target of a request. */
export interface RequestTarget {
  /** Path and query, still percent-encoded, in origin form (RFC 9112, 3.2.1). */
  readonly url: string
  /** Why the target or the Host field is invalid. */
  readonly fault: WeirError | undefined
}

/**
 * Reads the request target and the Host field. Proxies send the absolute form, whose host replaces the Host field
 * (RFC 9112, 3.2.2). A target with a fragment is invalid.
 */
export function readTarget(request: IncomingMessage): RequestTarget {
  const target = request.url ?? '/'
  const invalid = formFault(request)
  if (invalid !== undefined) return { url: '/', fault: invalid }
  if (target.includes('#')) {
    const fault = new WeirError('bad_request', `expected a request target without a fragment, got ${show(target)}`)
    return { url: target.slice(0, target.indexOf('#')) || '/', fault }
  }
  if (target.startsWith('/') || target === '*') return { url: target, fault: hostFault(request, request.headers.host) }
  const [, host = '', url = ''] = /^https?:\/\/([^/?]*)(.*)$/is.exec(target) ?? []
  if (host === '' || !HOST.test(host)) {
    return { url: '/', fault: new WeirError('bad_request', `expected a path or an http address, got ${show(target)}`) }
  }
  const fault = hostFault(request, request.headers.host)
  request.headers.host = host
  return { url: url.startsWith('/') ? url : `/${url}`, fault }
}

/** Refuses other versions of HTTP, and bodies in transfer codings that are not decoded (RFC 9112, 6.1), since both would be misread. */
function formFault({ httpVersion, httpVersionMajor, headers }: IncomingMessage): WeirError | undefined {
  if (httpVersionMajor !== 1) return new WeirError('bad_request', `expected HTTP/1.1, got HTTP/${httpVersion}`)
  const coding = headers['transfer-encoding']
  if (coding === undefined || coding.trim().toLowerCase() === 'chunked') return undefined
  return new WeirError('bad_request', `transfer-encoding: expected chunked, got ${show(coding)}`)
}

/** Checks for exactly one Host field with a valid host (RFC 9112, 3.2). HTTP/1.0 may omit it. */
function hostFault(request: IncomingMessage, host: string | undefined): WeirError | undefined {
  const { rawHeaders, httpVersionMinor } = request
  if (host === undefined)
    return httpVersionMinor > 0 ? new WeirError('bad_request', 'host: expected one field, got none') : undefined
  if (!HOST.test(host)) return new WeirError('bad_request', `host: expected a host name, got ${show(host)}`)
  let fields = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === 4 && name.toLowerCase() === 'host') fields += 1
  }
  return fields > 1 ? new WeirError('bad_request', `host: expected one field, got ${fields}`) : undefined
}
