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

/** Connections that may wait to be accepted: a herd of thousands arrives at once, and the system's 511 would turn most away. */
const BACKLOG = 4096

/** Silence after which the system probes whether the peer is still there, in milliseconds. */
const PROBE_AFTER = 15_000

/** How often a server that closes looks for connections whose last call has ended, in milliseconds. */
const SWEEP_EVERY = 50

/**
 * While another server takes over, an open connection may send so long after the last call on it, in milliseconds: who asks just when
 * it is closed can't know whether he was heard.
 */
const HANDOVER = 2000

/** Bytes of a body that costs less to copy than to write by itself. */
const SMALL = 4096

/** A server that listens. */
export interface Listening {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string
  /**
   * Stops to take new connections, or begins again. Those it has stay.
   *
   * @throws the system's error when the address can't be had again
   */
  accept(open: boolean): Promise<void>
  /**
   * Stops accepting and waits for calls under way, for at most `within` milliseconds. `handover`: another process listens here too,
   * so connections that wait for their next call stay for a while, and each ends with its next answer.
   */
  close(within: number, handover: boolean): Promise<void>
}

/** Serves a site on Node's HTTP server. @throws the system's error when the address can't be had */
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
    // What asks for any other protocol is answered in HTTP.
    shouldUpgradeCallback: wantsSocket,
    // Node's own answer to one without would say nothing of why.
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

/** An HTTP server's own `close` would end the connections that wait for their next call too. */
function stopAccepting(server: Server, done?: () => void): void {
  NetServer.prototype.close.call(server, done)
}

/** Until all connections have ended with their next call, or for so long. */
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
    // Node closes what is idle at this moment; a call that ends later leaves its connection open for more.
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

/** `inListener`: whether Node's parser is still at this request, so that it can be let go. */
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
  // 204 and 304 have no length, and an answer to HEAD without a body has its own or none (RFC 9110, 8.6).
  if (status === 204 || status === 304) delete headers['content-length']
  else if (request.method !== 'HEAD' || body !== null) {
    headers['content-length'] = String(body === null ? 0 : Buffer.byteLength(body))
  }
  // Whatever of its body we did not read must not be taken for the next request.
  if (hasBody(request) && !request.complete) headers.connection = 'close'
  response.writeHead(status, headers)
  if (body === null || request.method === 'HEAD') response.end()
  // As text it leaves in one write with its head.
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
  // A client that leaves ends what was on its way to it.
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
    // Pipelined behind a call that is not answered yet: the socket is that one's until then. Behind a live one, for ever.
    response.once('socket', () => sendLive(answer, request, response, false))
    return
  }
  // What is written are chunks already; HTTP/1.0 knows none, and there the body ends with the connection.
  const chunked = request.httpVersionMinor > 0
  const framing = chunked ? { 'transfer-encoding': 'chunked' } : {}
  response.useChunkedEncodingByDefault = false
  response.shouldKeepAlive = false
  response.writeHead(200, { ...answer.headers, ...framing, connection: 'close' })
  response.flushHeaders()
  const { socket } = request
  const connection = chunked ? new SocketConnection(socket) : new UnchunkedConnection(socket)
  if (inListener && !hasBody(request)) letGo(request, response, connection)
  answer.open(connection)
}

/** Live connections whose socket Node is about to hand over. */
const handingOver = new WeakMap<Socket, { readonly response: ServerResponse; readonly connection: SocketConnection }>()

/**
 * After the headers a live connection is its socket: request, response and parser are let go, which is most of the memory
 * of one. Node does that for an upgrade, right after this listener returns, when the request says it is one; so it is
 * told so. Should a later Node not look any more, no upgrade comes and the connection goes on through its response.
 */
function letGo(request: IncomingMessage, response: ServerResponse, connection: SocketConnection): void {
  handingOver.set(request.socket, { response, connection })
  Object.assign(request, { upgrade: true })
}

/** A socket that Node has let go of: of a live connection, or of a client that asks for a WebSocket. */
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
  /** Connections that ask for a WebSocket and are none, yet or ever: Node's server does not know them any more. */
  readonly pending: Set<Socket>
}

/** Only such a request is handed over by Node: its body would never be read, and HTTP/1.0 has no upgrade (RFC 9110, 7.8). */
function wantsSocket(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' &&
    request.httpVersionMinor > 0 &&
    request.headers.upgrade?.toLowerCase() === 'websocket' &&
    !hasBody(request)
  )
}

/** Answers who asks for a WebSocket: with one, or as any other call, and then the connection ends. */
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
    // Pipelined behind a call that is not answered yet: the socket is that one's.
    socket.destroy()
    return
  }
  const over = () => pending.delete(socket)
  pending.add(socket)
  socket.on('error', onError).on('close', over)

  function answered(answer: Answer): void {
    if (answer.kind === 'socket') {
      if (response.destroyed) return
      over()
      response.detachSocket(socket)
      socket.off('error', onError).off('close', over)
      socket.setTimeout(0)
      socket.setKeepAlive(true, PROBE_AFTER)
      upgrade(answer, request, socket, head)
    } else {
      response.once('finish', () => socket.destroySoon())
      // Nobody reads what it sends, but that it left must be heard.
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
  /** Whether its body is made of chunks. */
  get chunked(): boolean {
    return true
  }

  constructor(socket: Socket, direct = true) {
    super(socket, direct)
    socket.setTimeout(0)
    socket.setKeepAlive(true, PROBE_AFTER)
    socket.on('error', onError)
    // HTTP sockets are half open: a client that leaves politely only ends its side, and would stay for ever.
    socket.on('end', onEnd)
  }

  /** Node has let go: nobody else reads this socket now. */
  bare(): void {
    releaseSocket(this.socket)
    this.socket.resume()
  }

  close(): void {
    const { socket } = this
    if (this.chunked && socket.writable) socket.write(LAST_CHUNK)
    socket.destroySoon()
    // One that does not read would never be done; Node's server no longer knows it, so nobody else would cut it.
    setTimeout(() => socket.destroy(), FAREWELL).unref()
  }
}

/** One of HTTP/1.0. */
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
  // 'close' follows and tells the owner; without a listener the process would end.
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** A request that expects anything other than `100-continue` (RFC 9110, 10.1.1). */
function unexpected(request: IncomingMessage, response: ServerResponse): void {
  const detail = `expect: expected 100-continue, got ${show(request.headers.expect)}`
  sendWhole(problemAnswer(new WeirError('expectation_failed', detail)), request, response)
}
