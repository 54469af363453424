import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'
import type { Answer, Handler, LiveAnswer, WholeAnswer } from '../../call.ts'
import { LAST_CHUNK, unchunked } from '../../chunk.ts'
import { systemClock } from '../../clock.ts'
import { show, WeirError } from '../../errors.ts'
import { noSocket, problemAnswer } from '../../transport/problem.ts'
import { NodeCall } from './node-call.ts'
import { FAREWELL, HEAD_TIMEOUT, LARGEST_HEAD, NO_TUNNEL, REQUEST_TIMEOUT, refuse, refuseWith } from './refusal.ts'
import { releaseSocket } from './release-socket.ts'
import { Outflow } from './socket-writer.ts'
import { createUpgrade, type SocketLimits, type Upgrade } from './upgrade.ts'

/** Length of the accept queue. Thousands of clients may connect at once, and Node's default of 511 would reject most of them. */
const BACKLOG = 4096

/** Silence after which TCP keep-alive probes the peer, in milliseconds. */
const PROBE_AFTER = 15_000

/** How often a closing server closes idle connections, in milliseconds. */
const SWEEP_EVERY = 50

/**
 * During a handover, how long an idle connection stays open, in milliseconds. A client that sends a request just as its connection
 * closes cannot know whether the server received it.
 */
const HANDOVER = 2000

/** Body size up to which a copy costs less than a separate write, in bytes. */
const SMALL = 4096

/** A listening server. */
export interface Listening {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string
  /**
   * Stops or resumes accepting connections. Open connections stay.
   *
   * @throws the system's error when it can't listen on the address again
   */
  accept(open: boolean): Promise<void>
  /**
   * Stops accepting and waits up to `within` milliseconds for calls in flight. `handover`: another process listens on the same address,
   * so idle connections stay open for a while, and each closes after its next answer.
   */
  close(within: number, handover: boolean): Promise<void>
}

/** Serves a site on Node's HTTP server. @throws the system's error when it can't listen on the address */
export async function listen(
  handle: Handler,
  at: { readonly port: number; readonly host: string },
  sockets: SocketLimits,
): Promise<Listening> {
  const upgrades: Upgrades = { upgrade: createUpgrade(sockets), pending: new Set() }
  const server = createServer({
    maxHeaderSize: LARGEST_HEAD,
    headersTimeout: HEAD_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: 65_000,
    // A request to upgrade to any other protocol is answered over HTTP.
    shouldUpgradeCallback: wantsSocket,
    // Checked later: Node's own refusal has no body.
    requireHostHeader: false,
  })
  let leaving = false
  server.on('request', (request, response) => {
    if (leaving) response.shouldKeepAlive = false
    serve(handle, request, response)
  })
  server.on('upgrade', (request, stream, head) => upgraded(handle, upgrades, request, stream as Socket, head))
  server.on('checkExpectation', unexpected)
  server.on('connect', (_request, stream) => refuseWith(stream.on('error', onError).resume() as Socket, NO_TUNNEL))
  server.on('clientError', refuse)

  await open(server, at)
  const { address, port } = server.address() as AddressInfo
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    async accept(wanted) {
      if (wanted === server.listening || leaving) return
      if (wanted) await open(server, { port, host: at.host })
      else stopAccepting(server)
    },
    async close(within, handover) {
      leaving = true
      const since = performance.now()
      if (handover) await handOver(server, Math.min(HANDOVER, within / 2))
      await close(server, upgrades, Math.max(0, since + within - performance.now()))
    },
  }
}

function open(server: Server, { port, host }: { readonly port: number; readonly host: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** `close` of an HTTP server would also close idle connections. */
function stopAccepting(server: Server, done?: () => void): void {
  NetServer.prototype.close.call(server, done)
}

/** Resolves when every connection has closed after its next call, or after `within` milliseconds. */
function handOver(server: Server, within: number): Promise<void> {
  return new Promise((resolve) => {
    const late = systemClock.after(within, resolve)
    stopAccepting(server, () => {
      late.stop()
      resolve()
    })
  })
}

function close(server: Server, { pending }: Upgrades, within: number): Promise<void> {
  return new Promise((resolve) => {
    const late = systemClock.after(within, () => {
      server.closeAllConnections()
      for (const socket of pending) socket.destroy()
    })
    // Node closes only connections that are idle now. One whose call ends later would stay open.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_EVERY)
    server.close(() => {
      late.stop()
      clearInterval(sweep)
      resolve()
    })
  })
}

function serve(handle: Handler, request: IncomingMessage, response: ServerResponse): void {
  const answer = handle(new NodeCall(request, response))
  if (answer instanceof Promise) {
    answer.then((answer) => send(answer, request, response, false)).catch(() => response.destroy())
  } else {
    send(answer, request, response, true)
  }
}

/** `inListener`: whether Node's parser is still at this request, so that its memory can be released. */
function send(answer: Answer, request: IncomingMessage, response: ServerResponse, inListener: boolean): void {
  if (response.destroyed) {
    if (answer.kind === 'whole' && answer.body instanceof ReadableStream) void answer.body.cancel()
    return
  }
  if (answer.kind === 'socket') sendWhole(noSocket(), request, response)
  else if (answer.kind === 'live') sendLive(answer, request, response, inListener)
  else sendWhole(answer, request, response)
}

function sendWhole(answer: WholeAnswer, request: IncomingMessage, response: ServerResponse): void {
  if (answer.body instanceof ReadableStream) sendStream(answer, answer.body, request, response)
  else sendBytes(answer, answer.body, request, response)
}

function sendBytes(
  { status, headers }: WholeAnswer,
  body: Uint8Array | string | null,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  // 204 and 304 have no length. An answer to HEAD without a body keeps the length it was given, or has none (RFC 9110, 8.6).
  if (status === 204 || status === 304) delete headers['content-length']
  else if (request.method !== 'HEAD' || body !== null) {
    headers['content-length'] = String(body === null ? 0 : Buffer.byteLength(body))
  }
  // An unread rest of the body must not be parsed as the next request.
  if (hasBody(request) && !request.complete) headers.connection = 'close'
  response.writeHead(status, headers)
  if (body === null || request.method === 'HEAD') response.end()
  // Node sends a string together with the headers, in one write.
  else if (typeof body !== 'string' && body.byteLength <= SMALL) response.end(latin1(body), 'latin1')
  else response.end(body)
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

function sendStream(
  { status, headers }: WholeAnswer,
  body: ReadableStream<Uint8Array>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.writeHead(status, headers)
  if (request.method === 'HEAD') {
    void body.cancel()
    response.end()
    return
  }
  const readable = Readable.fromWeb(body as NodeReadableStream<Uint8Array>).on('error', () => response.destroy())
  // A client that disconnects ends the stream.
  response.once('close', () => readable.destroy())
  readable.pipe(response)
}

/** Answers with a live stream. `inListener`: whether Node's parser is still at this request. */
export function sendLive(
  answer: LiveAnswer,
  request: IncomingMessage,
  response: ServerResponse,
  inListener: boolean,
): void {
  if (response.socket === null) {
    // Pipelined behind an unanswered call, which owns the socket. Behind a live answer this request waits forever.
    response.once('socket', () => sendLive(answer, request, response, false))
    return
  }
  // Live connections write complete chunks. HTTP/1.0 has no chunks, so the body ends with the connection.
  const chunked = request.httpVersionMinor > 0
  const framing = chunked ? { 'transfer-encoding': 'chunked' } : {}
  response.useChunkedEncodingByDefault = false
  response.shouldKeepAlive = false
  response.writeHead(200, { ...answer.headers, ...framing, connection: 'close' })
  response.flushHeaders()
  const { socket } = request
  const connection = chunked ? new SocketConnection(socket) : new UnchunkedConnection(socket)
  if (inListener && !hasBody(request)) releaseRequest(request, response, connection)
  answer.open(connection)
}

/** Live connections whose socket Node is about to release. */
const handingOver = new WeakMap<Socket, { readonly response: ServerResponse; readonly connection: SocketConnection }>()

/**
 * Releases request, response and parser after the headers, since they take most of a live connection's memory. Node does so for an
 * upgrade, right after this listener returns, so the request is marked as one. If a later Node ignores the mark, the connection
 * keeps working through its response.
 */
function releaseRequest(request: IncomingMessage, response: ServerResponse, connection: SocketConnection): void {
  handingOver.set(request.socket, { response, connection })
  Object.assign(request, { upgrade: true })
}

/** Takes over a released socket: of a live connection, or of a client that requests a WebSocket. */
function upgraded(handle: Handler, upgrades: Upgrades, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const handed = handingOver.get(socket)
  if (handed === undefined) {
    serveUpgrade(handle, upgrades, request, socket, head)
    return
  }
  handingOver.delete(socket)
  handed.response.detachSocket(socket)
  handed.connection.bare()
}

interface Upgrades {
  readonly upgrade: Upgrade
  /** Connections that requested a WebSocket and have none yet. Node's server no longer tracks them. */
  readonly pending: Set<Socket>
}

/** Whether Node emits 'upgrade' for a request. A body would stay unread then, and HTTP/1.0 has no upgrade (RFC 9110, 7.8). */
function wantsSocket(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' &&
    request.httpVersionMinor > 0 &&
    request.headers.upgrade?.toLowerCase() === 'websocket' &&
    !hasBody(request)
  )
}

/** Answers a WebSocket request with a WebSocket, or like any other call before the connection closes. */
function serveUpgrade(
  handle: Handler,
  { upgrade, pending }: Upgrades,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): void {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  try {
    response.assignSocket(socket)
  } catch {
    // Pipelined behind an unanswered call, which owns the socket.
    socket.destroy()
    return
  }
  const forget = () => pending.delete(socket)
  pending.add(socket)
  socket.on('error', onError).on('close', forget)

  function answered(answer: Answer): void {
    if (answer.kind === 'socket') {
      if (response.destroyed) return
      forget()
      response.detachSocket(socket)
      socket.off('error', onError).off('close', forget)
      socket.setTimeout(0)
      socket.setKeepAlive(true, PROBE_AFTER)
      upgrade(answer, request, socket, head)
    } else {
      response.once('finish', () => socket.destroySoon())
      // Discard further input, or the end of the connection would go unnoticed.
      socket.resume()
      send(answer, request, response, false)
    }
  }
  const answer = handle(new NodeCall(request, response))
  if (answer instanceof Promise) answer.then(answered).catch(() => socket.destroy())
  else answered(answer)
}

/** A live connection on a TCP socket. */
export class SocketConnection extends Outflow {
  /** Whether the body is chunked. */
  get chunked(): boolean {
    return true
  }

  constructor(socket: Socket, direct = true) {
    super(socket, direct)
    socket.setTimeout(0)
    socket.setKeepAlive(true, PROBE_AFTER)
    socket.on('error', onError)
    // HTTP sockets allow half-open connections, so a client that only ends its side would stay forever.
    socket.on('end', onEnd)
  }

  /** Node has released the socket, so this connection has to read it. */
  bare(): void {
    releaseSocket(this.socket)
    this.socket.resume()
  }

  close(): void {
    const { socket } = this
    if (this.chunked && socket.writable) socket.write(LAST_CHUNK)
    socket.destroySoon()
    // A client that does not read would never finish, and Node's server no longer tracks it.
    setTimeout(() => socket.destroy(), FAREWELL).unref()
  }
}

/** A live connection over HTTP/1.0. */
class UnchunkedConnection extends SocketConnection {
  override get chunked(): boolean {
    return false
  }

  override write(bytes: Uint8Array): boolean {
    return super.write(unchunked(bytes))
  }
}

function onEnd(this: Socket): void {
  this.destroy()
}

function onError(this: Socket): void {
  // 'close' follows and notifies the owner. Without a listener, the error would end the process.
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** A request that expects anything other than `100-continue` (RFC 9110, 10.1.1). */
function unexpected(request: IncomingMessage, response: ServerResponse): void {
  const detail = `expect: expected 100-continue, got ${show(request.headers.expect)}`
  sendWhole(problemAnswer(new WeirError('expectation_failed', detail)), request, response)
}
