import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { CLOSE_CODES } from '@weir/protocol'
import { WebSocket, WebSocketServer } from 'ws'
import type { MessageReader, MessageSocket, SocketAnswer } from '../../call.ts'
import { acceptableOffer, areExtensions } from './deflate-offer.ts'
import { releaseSocket } from './release-socket.ts'
import { Outflow } from './socket-writer.ts'

/** How long a peer may take to answer a close frame, in milliseconds. */
const FAREWELL = 1000

/** Limit of fragments per message. Each one is buffered as an object, so single-byte fragments would exhaust memory. */
const MOST_FRAGMENTS = 256

/** Limits of WebSockets. */
export interface SocketLimits {
  /** Size limit of an incoming message, in bytes, after decompression. */
  readonly message: number
  /** Whether messages may be compressed, in both directions (RFC 7692). */
  readonly deflate: boolean
}

/** Names of close codes. */
const REASONS: ReadonlyMap<number, string> = new Map(
  Object.entries(CLOSE_CODES).map(([name, { code }]) => [code, name]),
)

/** Turns an upgraded connection into a WebSocket. `head`: bytes already received after the request. */
export type Upgrade = (answer: SocketAnswer, request: IncomingMessage, socket: Socket, head: Buffer) => void

/** Creates WebSockets. The library ws does the handshake and parses input. Output consists of frames shared by many clients. */
export function createUpgrade({ message, deflate }: SocketLimits): Upgrade {
  let protocol: string | false = false
  // A separate constant, because the types of ws lack some of these options.
  const options = {
    noServer: true,
    clientTracking: false,
    maxPayload: message,
    maxFragments: MOST_FRAGMENTS,
    // The transport answers pings and limits them, since pongs would pile up for clients that do not read.
    autoPong: false,
    closeTimeout: FAREWELL,
    // Without context takeover, no compressor outlives a message, and all clients can share a frame.
    perMessageDeflate: deflate && { serverNoContextTakeover: true, clientNoContextTakeover: true },
    handleProtocols: () => protocol,
  } as const
  const server = new WebSocketServer(options)
  return (answer, request, socket, head) => {
    const { headers } = request
    // ws would answer 400 to an unacceptable offer, instead of declining it.
    const extensions = headers['sec-websocket-extensions']
    if (extensions !== undefined && areExtensions(extensions)) {
      const offer = acceptableOffer(extensions)
      if (offer === undefined) delete headers['sec-websocket-extensions']
      else headers['sec-websocket-extensions'] = offer
    }
    // `handleUpgrade` reads it synchronously, before another handshake can change it.
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
    releaseSocket(socket)
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
  // Input after our close frame is ignored.
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

/** Closes with a frame that ws writes itself. Nothing may follow it (RFC 6455, 5.5.1). */
function close(this: WebSocket, code?: number, reason?: string | Buffer): void {
  // ws gives no reason for protocol errors.
  WebSocket.prototype.close.call(this, code, reason ?? REASONS.get(code ?? 0))
  ;(this as OwnedPeer)[MESSAGES].shut()
}

function onError(this: WebSocket): void {
  // ws has closed the connection with the error's code. Without a listener, the error would end the process.
}
