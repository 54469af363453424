import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Connection, ConnectionOwner } from '../../call.ts'

/**
 * How what is told leaves through a TCP socket: past its stream for as long as nothing waits there. Its listeners are shared
 * functions: none is made for each client.
 */
export abstract class Outflow implements Connection {
  owner: ConnectionOwner | undefined
  protected readonly socket: OwnedSocket
  /** The socket's descriptor while it is open, -1 when it is not, or Node does not say. */
  #descriptor: number
  /** Whether something may be waiting in the socket's stream, which nothing may overtake. */
  #streaming = true
  /** Whether the owner was told so, and not yet that it is over. */
  #lags = false
  #shut = false

  /** `direct`: whether bytes may go to the kernel past the socket's stream. */
  constructor(socket: Socket, direct: boolean) {
    this.socket = socket
    this.socket[OUTFLOW] = this
    this.#descriptor = direct ? descriptorOf(socket) : -1
    // The system gives a closed descriptor to the next who comes, long before 'close' is told.
    socket._destroy = onDestroy
    socket.on('drain', onDrain)
    socket.on('close', onClose)
  }

  /**
   * What the kernel takes at once does not pass the socket's stream, which costs a quarter of a microsecond to a half for
   * each client and message. What it does not take goes that way, and so does all that follows until it is through.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#streaming && !this.#through()) return this.#shut || this.#queue(bytes)
    let taken = 0
    try {
      taken = writeSync(this.#descriptor, bytes)
    } catch {
      // The kernel has no room, or the peer is gone: the stream waits, or finds out and closes.
    }
    if (taken === bytes.byteLength) return true
    this.#streaming = true
    return this.#queue(bytes.subarray(taken))
  }

  #through(): boolean {
    const { writableLength, writableCorked } = this.socket
    this.#streaming = this.#descriptor === -1 || writableLength > 0 || writableCorked > 0
    return !this.#streaming
  }

  #queue(bytes: Uint8Array): boolean {
    const { socket } = this
    if (this.#descriptor === -1 || socket.writableCorked > 0) this.#lags = !socket.write(bytes) || this.#lags
    else {
      // The kernel is full, so the peer lags: there is no need to fill the stream as well, until it says so.
      this.#lags = true
      socket.write(bytes, () => this.caughtUp())
    }
    return !this.#lags
  }

  /** Tells the owner once, whatever tells it of an empty stream. */
  caughtUp(): void {
    if (!this.#lags || this.socket.writableLength > 0) return
    this.#lags = false
    this.owner?.drained()
  }

  cork(): void {
    this.#streaming = true
    this.socket.cork()
  }

  uncork(): void {
    this.socket.uncork()
  }

  get flows(): boolean {
    return !this.#streaming
  }

  get waiting(): number {
    return this.socket.writableLength
  }

  abstract close(): void

  /** From now on nothing is written: the peer was told that it is over, or the descriptor may be another's. */
  shut(): void {
    this.#shut = true
    this.#descriptor = -1
    this.#streaming = true
  }

  gone(): void {
    this.owner?.closed()
    this.owner = undefined
  }
}

const OUTFLOW = Symbol('outflow')

type OwnedSocket = Socket & { [OUTFLOW]?: Outflow }

/** The live connection that is on this socket. */
export function socketWriterOf(socket: Socket): Outflow | undefined {
  return (socket as OwnedSocket)[OUTFLOW]
}

/**
 * The system's number of a plain socket, which Node keeps in no public place; -1 where it is not found. A TLS socket has
 * one too, and what went there past its stream would be sent in the clear.
 */
function descriptorOf(socket: Socket & { _handle?: { readonly fd?: unknown } | null }): number {
  if (Object.getPrototypeOf(socket) !== Socket.prototype) return -1
  const fd = socket._handle?.fd
  return typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 ? fd : -1
}

function onDestroy(this: OwnedSocket, error: Error | null, callback: (error?: Error | null) => void): void {
  this[OUTFLOW]?.shut()
  Socket.prototype._destroy.call(this, error, callback)
}

function onDrain(this: OwnedSocket): void {
  this[OUTFLOW]?.caughtUp()
}

function onClose(this: OwnedSocket): void {
  this[OUTFLOW]?.gone()
}
