import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Connection, ConnectionOwner } from '../../call.ts'

/**
 * Writes to a TCP socket, bypassing its stream while that is empty. All connections share their listener functions, which saves
 * memory per client.
 */
export abstract class Outflow implements Connection {
  owner: ConnectionOwner | undefined
  protected readonly socket: OwnedSocket
  /** The descriptor of the open socket; -1 when it is closed or unknown. */
  #descriptor: number
  /** Whether bytes may be waiting in the socket's stream. Nothing may overtake them. */
  #streaming = true
  /** Whether the peer is slow, until the owner is notified that it caught up. */
  #lags = false
  #shut = false

  /** `direct`: whether bytes may bypass the socket's stream. */
  constructor(socket: Socket, direct: boolean) {
    this.socket = socket
    this.socket[OUTFLOW] = this
    this.#descriptor = direct ? descriptorOf(socket) : -1
    // The system may reuse a closed descriptor long before 'close' is emitted.
    socket._destroy = onDestroy
    socket.on('drain', onDrain)
    socket.on('close', onClose)
  }

  /**
   * Writes directly to the kernel, because the stream would cost 0.25 to 0.5 µs per client and message. Bytes that the kernel does not
   * take go through the stream, as do all later bytes until the stream is empty.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#streaming && !this.#isDrained()) return this.#shut || this.#queue(bytes)
    let taken = 0
    try {
      taken = writeSync(this.#descriptor, bytes)
    } catch {
      // The kernel buffer is full, or the peer is gone. The stream waits, or detects it and closes.
    }
    if (taken === bytes.byteLength) return true
    this.#streaming = true
    return this.#queue(bytes.subarray(taken))
  }

  #isDrained(): boolean {
    const { writableLength, writableCorked } = this.socket
    this.#streaming = this.#descriptor === -1 || writableLength > 0 || writableCorked > 0
    return !this.#streaming
  }

  #queue(bytes: Uint8Array): boolean {
    const { socket } = this
    if (this.#descriptor === -1 || socket.writableCorked > 0) this.#lags = !socket.write(bytes) || this.#lags
    else {
      // The kernel buffer is full, so the peer counts as slow right away, before the stream fills as well.
      this.#lags = true
      socket.write(bytes, () => this.caughtUp())
    }
    return !this.#lags
  }

  /** Notifies the owner once per lag, however many events report an empty stream. */
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

  /** Stops all writes, after a close frame or because the descriptor may be reused. */
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

/** The live connection on a socket. */
export function socketWriterOf(socket: Socket): Outflow | undefined {
  return (socket as OwnedSocket)[OUTFLOW]
}

/**
 * The descriptor of a plain socket, which Node does not expose; -1 if unknown. A TLS socket is excluded, because bytes that bypass
 * its stream would not be encrypted.
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
