import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import type { MessageReader, MessageSocket, SocketAnswer } from '../call.ts'
import { bare } from './bare.ts'
import { Outflow } from './outflow.ts'

/** How long a peer may take to answer that it was closed, in milliseconds. */
const FAREWELL = 1000

/** Pieces of one message: a client that sends bytes one by one would have each of them kept as an object. */
const MOST_FRAGMENTS = 256

/** What a runtime must know of WebSockets. */
export interface SocketLimits {
  /** The largest message that is taken, in bytes, inflated. */
  readonly message: number
  /** Whether messages may be compressed, both ways (RFC 7692). */
  readonly deflate: boolean
}

/** Makes a WebSocket of the connection of an upgrade. `head`: what the client has sent already. */
export type Upgrade = (answer: SocketAnswer, request: IncomingMessage, socket: Socket, head: Buffer) => void

/** The handshake and what comes in are the work of ws; what goes out are frames that were made once for many. */
export function createUpgrade({ message, deflate }: SocketLimits): Upgrade {
  let protocol: string | false = false
  // Named first: the types of ws don't know all of its options yet.
  const options = {
    noServer: true,
    clientTracking: false,
    maxPayload: message,
    maxFragments: MOST_FRAGMENTS,
    // Answered by the transport, which counts them: of those who don't read, pongs would pile up.
    autoPong: false,
    closeTimeout: FAREWELL,
    // Without context takeover no compressor lives longer than a message, and one frame is good for all.
    perMessageDeflate: deflate && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    handleProtocols: () => protocol,
  } as const
  const server = new WebSocketServer(options)
  return (answer, request, socket, head) => {
    const { headers } = request
    // Frames for all are made with the largest window; who wants a smaller one gets plain ones (RFC 7692, 7.1.2.1).
    if (headers['sec-websocket-extensions']?.includes('server_max_window_bits'))
      delete headers['sec-websocket-extensions']
    // Asked for right below, before anybody else's handshake can come between.
    protocol = answer.protocol ?? false
    server.handleUpgrade(request, socket, head, (peer) => answer.open(new SocketMessages(peer, socket)))
  }
}

/** A WebSocket on a TCP socket. */
export class SocketMessages extends Outflow implements MessageSocket {
  reader: MessageReader | undefined
  readonly deflates: boolean
  readonly #peer: WebSocket

  constructor(peer: WebSocket, socket: Socket, direct = true) {
    super(socket, direct)
    this.#peer = Object.assign(peer, { [MESSAGES]: this })
    this.deflates = peer.extensions !== ''
    bare(socket)
    peer.close = close
    peer.on('message', onMessage)
    peer.on('ping', onPing)
    peer.on('pong', onPong)
    peer.on('error', onError)
  }

  end(code: number, reason: string): void {
    this.#peer.close(code, reason)
  }

  close(): void {
    this.end(1001, '')
  }

  override gone(): void {
    super.gone()
    this.reader = undefined
  }
}

const MESSAGES = Symbol('messages')

type OwnedPeer = WebSocket & { [MESSAGES]: SocketMessages }

function readerOf(peer: WebSocket): MessageReader | undefined {
  // What still comes after we closed is of no use to anybody.
  return peer.readyState === WebSocket.OPEN ? (peer as OwnedPeer)[MESSAGES].reader : undefined
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  const reader = readerOf(this)
  if (isBinary) reader?.binary()
  else reader?.message(String(data))
}

function onPing(this: WebSocket, data: Buffer): void {
  readerOf(this)?.ping(data)
}

function onPong(this: WebSocket): void {
  readerOf(this)?.pong()
}

/** However it came to it: a close frame is the one thing that ws writes, and nothing may follow it (RFC 6455, 5.5.1). */
function close(this: WebSocket, code?: number, reason?: string | Buffer): void {
  WebSocket.prototype.close.call(this, code, reason)
  ;(this as OwnedPeer)[MESSAGES].shut()
}

function onError(this: WebSocket): void {
  // ws has closed it with the code of the fault; without a listener the process would end.
}
