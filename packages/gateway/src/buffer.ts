/**
 * Encodes text in memory of its own. Node allocates short strings from a shared 8 KB pool, which a long-lived value of
 * 20 bytes would keep alive.
 */
export function unpooledBuffer(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** Copies bytes out of a shared buffer, such as a socket's, into memory of their own. */
export function unpooledCopy(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength === bytes.length) return bytes
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
