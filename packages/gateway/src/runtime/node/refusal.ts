import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { LONGEST_ADDRESS } from '../../call.ts'
import { WeirError } from '../../errors.ts'
import { problemAnswer } from '../../transport/problem.ts'
import { socketWriterOf } from './socket-writer.ts'

/** Size limit of the request line and headers together, in bytes. */
export const LARGEST_HEAD = 65_536

/** Time limits for the headers and for the whole request, in milliseconds. */
export const HEAD_TIMEOUT = 15_000
export const REQUEST_TIMEOUT = 60_000

/** How long a client may take to read the last bytes before its connection is destroyed, in milliseconds. */
export const FAREWELL = 1000

/** Answers a request that Node's parser rejects, with the fault. */
export function refuse(error: Error & { code?: string; rawPacket?: Buffer }, stream: unknown): void {
  const socket = stream as Socket
  // The rest of a rejected request. Closing while it arrives would reset the connection and lose the answer.
  if (socket.writableEnded && !socket.destroyed) return
  // Inside a live answer, the client would take a second answer for a part of the first.
  if (error.code === 'ECONNRESET' || !socket.writable || socketWriterOf(socket) !== undefined) {
    socket.destroy()
    return
  }
  afterAnswers(socket, () => refuseWith(socket, refusal(error)))
}

/**
 * Waits until earlier calls on this connection are answered (RFC 9112, 9.3.2). Node keeps the current answer as `_httpMessage` and
 * assigns the next one when it has finished. A Node version without this property refuses immediately.
 */
function afterAnswers(socket: Socket & { readonly _httpMessage?: ServerResponse | null }, refuse: () => void): void {
  const answer = socket._httpMessage
  // An answer to a request that ends here unfinished never comes.
  if (answer === undefined || answer === null || !answer.req.complete) refuse()
  else answer.once('finish', () => setImmediate(() => socket.writable && afterAnswers(socket, refuse)))
}

/** CONNECT names no resource of this server, so `allow` is empty (RFC 9110, 9.3.6). */
export const NO_TUNNEL = new WeirError(
  'method_not_allowed',
  'expected a request for an address of this server, got CONNECT',
  {
    headers: { allow: '' },
  },
)

/** Sends an error on a socket that Node's server has released, and closes it. */
export function refuseWith(socket: Socket, error: WeirError): void {
  const { status, headers, body } = problemAnswer(error)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    `HTTP/1.1 ${status} Refused\r\n${lines.join('')}content-length: ${Buffer.byteLength(String(body))}\r\nconnection: close\r\n\r\n${body}`,
  )
  setTimeout(() => socket.destroy(), FAREWELL).unref()
}

function refusal({ code, rawPacket, message }: Error & { code?: string; rawPacket?: Buffer }): WeirError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const detail = `expected headers within ${HEAD_TIMEOUT} ms and a whole request within ${REQUEST_TIMEOUT} ms`
    return new WeirError('request_timeout', detail)
  }
  if (code !== 'HPE_HEADER_OVERFLOW') {
    return new WeirError('bad_request', `expected HTTP/1.1, got something else: ${message}`)
  }
  // The chunk that exceeds the limit starts inside the request target or inside a header.
  const [line = ''] = rawPacket?.toString('latin1').split('\r\n', 1) ?? []
  if (/^\S* HTTP\/1\.\d$/.test(line)) {
    return new WeirError('uri_too_long', `expected an address of at most ${LONGEST_ADDRESS} characters, got more`)
  }
  return new WeirError(
    'headers_too_large',
    `expected at most ${LARGEST_HEAD} bytes of request line and headers, got more`,
  )
}
