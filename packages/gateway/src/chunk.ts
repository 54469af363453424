/**
 * Frames bytes as one chunk of an HTTP/1.1 body (RFC 9112, 7.1). A chunk is the same for every connection, so an event
 * is framed once for all. Readers that buffer an unframed body, such as Python's requests, get each event as it
 * arrives.
 */
export function chunk(bytes: Uint8Array): Buffer {
  const head = `${bytes.byteLength.toString(16)}\r\n`
  const framed = Buffer.allocUnsafeSlow(head.length + bytes.byteLength + 2)
  framed.write(head, 'latin1')
  framed.set(bytes, head.length)
  framed.write('\r\n', framed.length - 2, 'latin1')
  return framed
}

/** The end of a chunked body. */
export const LAST_CHUNK: Buffer = Buffer.from('0\r\n\r\n')

/** Removes the frames from whole chunks, for connections without chunked encoding: HTTP/1.0, Web streams. */
export function unchunked(bytes: Uint8Array): Uint8Array {
  const framed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const pieces: Buffer[] = []
  for (let at = 0; at < framed.length; ) {
    const head = framed.indexOf('\r\n', at)
    const length = Number.parseInt(framed.toString('latin1', at, head), 16)
    pieces.push(framed.subarray(head + 2, head + 2 + length))
    at = head + 2 + length + 2
  }
  const [first] = pieces
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
}
