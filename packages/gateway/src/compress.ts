import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

/** Below this many bytes a packet carries the plain text just as well. */
const WORTH_IT = 1024

/** Beyond this many bytes strong compression would hold up the event loop. */
const LARGE = 65_536

/** A way to compress, by its name in `Accept-Encoding` and `Content-Encoding`. */
export interface Compression {
  readonly name: 'br' | 'gzip'
  compress(bytes: Uint8Array): Buffer
}

/** The better first. */
export const COMPRESSIONS: readonly Compression[] = [
  {
    name: 'br',
    compress(bytes) {
      const quality = bytes.length > LARGE ? 1 : 5
      return brotliCompressSync(bytes, {
        params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
      })
    },
  },
  {
    name: 'gzip',
    compress: (bytes) => gzipSync(bytes, { level: bytes.length > LARGE ? 1 : 6 }),
  },
]

/**
 * The best compression that the client accepts, for a body of this size; undefined when none pays.
 *
 * @param accepted `Accept-Encoding` (RFC 9110, 12.5.3); a name with `q=0` is refused
 */
export function chooseCompression(accepted: string | undefined, size: number): Compression | undefined {
  if (accepted === undefined || size < WORTH_IT) return undefined
  const refused = new Set<string>()
  const names = new Set<string>()
  for (const part of accepted.split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    if (parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) refused.add(name)
    else names.add(name)
  }
  return COMPRESSIONS.find(({ name }) => !refused.has(name) && (names.has(name) || names.has('*')))
}
