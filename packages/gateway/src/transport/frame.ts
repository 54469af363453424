import { deflateBlocks, WORTH_IT } from '../compress.ts'

/** Opcodes, with the bit of a frame that is a whole message (RFC 6455, 5.2). */
const TEXT = 0x81
const PING = 0x89
const PONG = 0x8a
/** The bit of a compressed message (RFC 7692, 6). */
const DEFLATED = 0x40

/** What asks a peer whether it is there. */
export const PING_FRAME: Buffer = frame(PING, new Uint8Array())

/** What answers a ping: its own data, at most 125 bytes. */
export function pongFrame(data: Uint8Array): Buffer {
  return frame(PONG, data)
}

/** A text as one frame of a server, which every connection can be sent. */
export function textFrame(text: string): Buffer {
  return frame(TEXT, Buffer.from(text))
}

/**
 * The same for connections that agreed on `permessage-deflate` without context takeover: each message is compressed by itself,
 * so one frame is good for all of them. Small texts, and those that don't shrink, stay plain.
 */
export function deflatedFrame(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length < WORTH_IT) return frame(TEXT, bytes)
  // The four bytes at their end are left out and put back by the peer (RFC 7692, 7.2.1).
  const message = deflateBlocks(bytes).subarray(0, -4)
  return message.length < bytes.length ? frame(TEXT | DEFLATED, message) : frame(TEXT, bytes)
}

function frame(head: number, payload: Uint8Array): Buffer {
  const { length } = payload
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.allocUnsafeSlow(start + length)
  bytes[0] = head
  bytes[1] = start === 2 ? length : start === 4 ? 126 : 127
  if (start === 4) bytes.writeUInt16BE(length, 2)
  if (start === 10) bytes.writeBigUInt64BE(BigInt(length), 2)
  bytes.set(payload, start)
  return bytes
}
