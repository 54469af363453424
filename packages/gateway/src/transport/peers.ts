import { CLOSE_CODES, type CloseName, type Problem } from '@weir/protocol'
import type { Connection, ConnectionOwner, MessageReader, MessageSocket } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { DEEPEST, isTooDeep, parseJson } from '../json.ts'
import { PING_FRAME, pongFrame } from './frame.ts'

/** What a client of a WebSocket may do. */
export interface PeerLimits {
  /** Bytes of a message. */
  readonly message: number
  /** The most topics of one connection. */
  readonly topics: number
  /** Messages a second. */
  readonly rate: number
  /** Messages at once. */
  readonly burst: number
}

/** Bytes that may wait for a client while it asks for more. What the hub says is bounded by its topics; answers are not. */
const MOST_WAITING = 4 * 1024 * 1024

/** Messages in a row that can't be read until a client is taken for one that speaks something else. */
const MOST_UNREADABLE = 10

/** Pings without an answer until a peer is taken for gone. */
const MOST_SILENT = 2

/** Pings of all peers are spread over this many moments of a heartbeat. */
const SLICES = 16

/** Heartbeats are sent sooner than promised: timers are late, and the network takes its time. */
const SOONER = 0.8

/** Every WebSocket of a site: pings them on one timer, however many there are. */
export class Peers {
  readonly limits: PeerLimits
  readonly clock: Clock
  readonly #slices: readonly Set<Peer>[] = Array.from({ length: SLICES }, () => new Set())
  readonly #every: number
  #next = 0
  #timer: Timer | undefined

  /** @param heartbeat milliseconds; no peer is left without a ping for longer */
  constructor(clock: Clock, heartbeat: number, limits: PeerLimits) {
    this.clock = clock
    this.limits = limits
    this.#every = (heartbeat * SOONER) / SLICES
  }

  /** The slice that it is in from now on. */
  add(peer: Peer): Set<Peer> {
    this.#next = (this.#next + 1) % SLICES
    const slice = this.#slices[this.#next] as Set<Peer>
    slice.add(peer)
    this.#timer ??= this.clock.after(this.#every, () => this.#sweep(0))
    return slice
  }

  #sweep(index: number): void {
    for (const peer of this.#slices[index] ?? []) peer.sweep()
    const anybody = this.#slices.some(({ size }) => size > 0)
    this.#timer = anybody ? this.clock.after(this.#every, () => this.#sweep((index + 1) % SLICES)) : undefined
  }
}

/**
 * One WebSocket, between the hub and its socket: to the hub a connection like others. It counts what comes and goes, and closes
 * peers that are silent, flood, or ask for more than they read.
 */
export abstract class Peer implements Connection, ConnectionOwner, MessageReader {
  owner: ConnectionOwner | undefined
  protected readonly socket: MessageSocket
  readonly #peers: Peers
  readonly #slice: Set<Peer>
  /** Messages that it was sent. */
  protected sent = 0
  /** It does not take more at the moment. */
  protected lagging = false
  /** Messages that it may send still, as of the moment `#counted`. */
  #allowed: number
  #counted: number
  #unreadable = 0
  #silent = 0
  #waited = 0

  constructor(peers: Peers, socket: MessageSocket) {
    this.#peers = peers
    this.socket = socket
    this.#allowed = peers.limits.burst
    this.#counted = peers.clock.monotonic()
    this.#slice = peers.add(this)
    socket.owner = this
    socket.reader = this
  }

  /** What it says, once it is known to be JSON. False: it can't be read. */
  protected abstract hear(message: unknown): boolean
  /** Tells the client why its message can't be read. */
  protected abstract refuse(detail: string): void
  /** Sends, at each heartbeat, what the protocol has besides the ping. */
  protected beat(): void {}

  write(frame: Uint8Array): boolean {
    if (frame.length === 0) return !this.lagging
    this.sent += 1
    const flowing = this.socket.write(frame)
    this.lagging ||= !flowing
    return flowing
  }

  cork(): void {
    this.socket.cork()
  }

  uncork(): void {
    this.socket.uncork()
  }

  get flows(): boolean {
    return this.socket.flows !== false
  }

  get waiting(): number {
    return this.socket.waiting
  }

  /** The server goes. */
  close(): void {
    this.end('going_away')
  }

  end(name: CloseName): void {
    this.socket.end(CLOSE_CODES[name].code, name)
  }

  /** The credential of its caller has expired. */
  expire(_problem: Problem): void {
    this.end('credential_expired')
  }

  drained(): void {
    this.lagging = false
    this.owner?.drained()
  }

  closed(): void {
    this.#slice.delete(this)
    this.owner?.closed()
    this.owner = undefined
  }

  message(text: string): void {
    if (!this.#allow()) return
    const read = readJson(text)
    if (read === undefined) this.refuse(`expected JSON at most ${DEEPEST} levels deep, got something else`)
    this.#unreadable = read !== undefined && this.hear(read.message) ? 0 : this.#unreadable + 1
    if (this.#unreadable >= MOST_UNREADABLE) this.end('unreadable')
  }

  binary(): void {
    this.end('binary')
  }

  ping(data: Uint8Array): void {
    if (this.#allow()) this.socket.write(pongFrame(data))
  }

  pong(): void {
    this.#allow()
  }

  /** Asks whether it is still there, and counts it as gone when it did not say so for too long. */
  sweep(): void {
    const { waiting } = this.socket
    // One that still reads what was written long ago can't have come to the ping yet.
    if (waiting > 0 && waiting < this.#waited) this.#silent = 0
    this.#waited = waiting
    if (this.#silent >= MOST_SILENT) {
      this.end('silent')
      return
    }
    this.#silent += 1
    if (this.lagging) return
    this.socket.cork()
    this.socket.write(PING_FRAME)
    this.beat()
    this.socket.uncork()
  }

  /** Counts messages, and ends the connection of a client that sends too many, or sends without reading. */
  #allow(): boolean {
    this.#silent = 0
    const { rate, burst } = this.#peers.limits
    const now = this.#peers.clock.monotonic()
    this.#allowed = Math.min(burst, this.#allowed + ((now - this.#counted) * rate) / 1000) - 1
    this.#counted = now
    if (this.#allowed < 0) this.end('flooding')
    else if (this.socket.waiting > MOST_WAITING) this.end('too_slow')
    else return true
    return false
  }
}

function readJson(text: string): { readonly message: unknown } | undefined {
  try {
    return isTooDeep(text) ? undefined : { message: parseJson(text) }
  } catch {
    return undefined
  }
}
