import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A frame as it came from a server. */
export interface Frame {
  readonly head: number
  readonly payload: Buffer
}

/** What a frame of a client is made of; by default as RFC 6455 wants it. */
export interface FrameParts {
  readonly opcode?: number
  readonly fin?: boolean
  /** Reserved bits, 0 to 7. */
  readonly reserved?: number
  readonly masked?: boolean
  /** The length that the frame claims. */
  readonly length?: number
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A frame of a client, right or wrong as a test wants it. */
export function clientFrame(payload: string | Uint8Array, parts: FrameParts = {}): Buffer {
  const { opcode = OPCODE.text, fin = true, reserved = 0, masked = true } = parts
  const bytes = Buffer.from(payload as string)
  const { length = bytes.length } = parts
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode
  head[1] = (masked ? 0x80 : 0) | (head.length === 2 ? length : head.length === 4 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  if (!masked) return Buffer.concat([head, bytes])
  const mask = [0x12, 0x34, 0x56, 0x78]
  return Buffer.concat([head, Buffer.from(mask), bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0))])
}

export function handshake(path = '/weir/ws', more: readonly string[] = []): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'host: raw',
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    ...more,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** A client on a bare socket, which says what a test makes it say. `await using` destroys it. */
export class RawSocket implements AsyncDisposable {
  readonly socket: Socket
  /** The head of the answer to the handshake. */
  head = ''
  readonly frames: Frame[] = []
  /** Whether the server has ended its side, or cut the connection. */
  over = false
  #rest = Buffer.alloc(0)

  constructor(url: string) {
    this.socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
    this.socket.on('data', (data) => this.#take(data))
    this.socket.on('error', () => {})
    this.socket.on('end', () => {
      this.over = true
    })
    this.socket.on('close', () => {
      this.over = true
    })
  }

  /** Connects and waits for the answer to its handshake. */
  static async open(url: string, path?: string, more?: readonly string[]): Promise<RawSocket> {
    const raw = new RawSocket(url)
    raw.socket.write(handshake(path, more))
    await raw.until(() => raw.head !== '' || raw.over)
    return raw
  }

  say(payload: string | Uint8Array, parts?: FrameParts): void {
    this.socket.write(clientFrame(payload, parts))
  }

  /** Texts that came, whole ones. */
  get texts(): readonly string[] {
    return this.frames.filter(({ head }) => head === 0x81).map(({ payload }) => payload.toString())
  }

  /** The code of the close frame that came. */
  get closedWith(): number | undefined {
    return this.frames.find(({ head }) => head === 0x88)?.payload.readUInt16BE(0)
  }

  /** The reason in it. */
  get closedFor(): string | undefined {
    return this.frames.find(({ head }) => head === 0x88)?.payload.toString('utf8', 2)
  }

  /** Waits for something that comes with bytes, or with the end. */
  async until(true_: () => boolean): Promise<void> {
    while (!true_()) {
      if (this.socket.destroyed) throw new Error(`the connection is over: ${this.head} ${this.texts.join(' ')}`)
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'end'), once(this.socket, 'close')]).catch(
        () => {},
      )
    }
  }

  async ended(): Promise<number | undefined> {
    await this.until(() => this.over)
    return this.closedWith
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.destroyed) return
    this.socket.destroy()
    await once(this.socket, 'close')
  }

  #take(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data])
    if (this.head === '') {
      const end = this.#rest.indexOf('\r\n\r\n')
      if (end === -1) return
      this.head = this.#rest.subarray(0, end).toString()
      this.#rest = this.#rest.subarray(end + 4)
    }
    if (!this.head.startsWith('HTTP/1.1 101')) return
    for (;;) {
      const { length } = this.#rest
      if (length < 2) return
      const [head = 0, short = 0] = this.#rest
      const start = short === 127 ? 10 : short === 126 ? 4 : 2
      if (length < start) return
      const size =
        short === 127 ? Number(this.#rest.readBigUInt64BE(2)) : short === 126 ? this.#rest.readUInt16BE(2) : short
      if (length < start + size) return
      this.frames.push({ head, payload: this.#rest.subarray(start, start + size) })
      this.#rest = this.#rest.subarray(start + size)
    }
  }
}
