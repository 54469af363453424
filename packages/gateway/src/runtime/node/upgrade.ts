import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { CLOSE_CODES } from '@weir/protocol'
import { WebSocket, WebSocketServer } from 'ws'
import type { MessageReader, MessageSocket, SocketAnswer } from '../../call.ts'
import { acceptableOffer, areExtensions } from './deflate-offer.ts'
import { releaseSocket } from './release-socket.ts'
import { Outflow } from './socket-writer.ts'

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

/** The names of close codes. */
const REASONS: ReadonlyMap<number, string> = new Map(
  Object.entries(CLOSE_CODES).map(([name, { code }]) => [code, name]),
)

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
    // ws answers 400 to offers that are to be declined.
    const extensions = headers['sec-websocket-extensions']
    if (extensions !== undefined && areExtensions(extensions)) {
      const offer = acceptableOffer(extensions)
      if (offer === undefined) delete headers['sec-websocket-extensions']
      else headers['sec-websocket-extensions'] = offer
    }
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
  // ws names no reason for the faults that it finds in frames.
  WebSocket.prototype.close.call(this, code, reason ?? REASONS.get(code ?? 0))
  ;(this as OwnedPeer)[MESSAGES].shut()
}

function onError(this: WebSocket): void {
  // ws has closed it with the code of the fault; without a listener the process would end.
}
