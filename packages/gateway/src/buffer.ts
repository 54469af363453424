/**
 * A text in memory of its own. What Node makes of a short text is a part of a larger buffer, which would be kept with it: for a
 * value of 20 bytes that is kept for an hour, eight thousand.
 */
export function unpooledBuffer(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** The same of bytes: what a socket hands over is a part of a larger buffer too. */
export function unpooledCopy(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.length) return bytes
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
