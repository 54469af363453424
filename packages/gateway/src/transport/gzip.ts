import { deflateBlocks, WORTH_IT } from '../compress.ts'

/** How a gzip stream begins (RFC 1952, 2.3): deflate, no name, no time, an unknown system. */
export const GZIP_HEAD: Buffer = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])

/** The most bytes of a block that is stored as it is. */
const MOST_STORED = 0xffff

/**
 * A text as a piece of a gzip stream that is good for every connection, whatever it was sent before: what is behind a head is
 * one text after the other. The checksum at the end of a stream can't be shared, so a stream never ends; it stops.
 * Small texts, and those that don't shrink, are stored, which takes five bytes more (RFC 1951, 3.2.4).
 */
export function gzipPiece(text: string | Buffer): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  if (bytes.length >= WORTH_IT) {
    const deflated = deflateBlocks(bytes)
    if (deflated.length < bytes.length || bytes.length > MOST_STORED) return deflated
  }
  const stored = Buffer.allocUnsafeSlow(5 + bytes.length)
  stored[0] = 0
  stored.writeUInt16LE(bytes.length, 1)
  stored.writeUInt16LE(~bytes.length & MOST_STORED, 3)
  stored.set(bytes, 5)
  return stored
}

/** How a gzip stream ends whose length is known: a last block, empty, the checksum of all texts and their bytes (RFC 1952, 2.3.1). */
export function gzipEnd(checksum: number, bytes: number): Buffer {
  const end = Buffer.from([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])
  end.writeUInt32LE(checksum, 5)
  end.writeUInt32LE(bytes % 2 ** 32, 9)
  return end
}
