import { brotliCompressSync, constants, deflateRawSync, gzipSync } from 'node:zlib'
import { unpooledCopy } from './buffer.ts'

/** Below this many bytes a packet carries the plain text just as well. */
export const WORTH_IT = 1024

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
      const params = {
        [constants.BROTLI_PARAM_QUALITY]: quality,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      }
      return unpooledCopy(brotliCompressSync(bytes, { params }))
    },
  },
  {
    name: 'gzip',
    compress: (bytes) => unpooledCopy(gzipSync(bytes, { level: bytes.length > LARGE ? 1 : 6 })),
  },
]

/**
 * Bytes as blocks of DEFLATE (RFC 1951) that look at nothing before them and end at a byte, with `00 00 ff ff`: they can stand
 * anywhere in a stream of such.
 */
export function deflateBlocks(bytes: Uint8Array): Buffer {
  const level = bytes.length > LARGE ? 1 : 6
  return unpooledCopy(deflateRawSync(bytes, { level, finishFlush: constants.Z_SYNC_FLUSH }))
}

/**
 * The compression that the client likes best, for a body of this size; undefined when none pays.
 *
 * @param accepted `Accept-Encoding` (RFC 9110, 12.5.3)
 */
export function chooseCompression(accepted: string | undefined, size: number): Compression | undefined {
  if (accepted === undefined || size < WORTH_IT) return undefined
  let best: Compression | undefined
  for (const one of COMPRESSIONS) {
    if (!accepts(accepted, one.name)) continue
    if (best === undefined || weightOf(accepted, one.name) > weightOf(accepted, best.name)) best = one
  }
  return best
}

/** Whether a client takes an encoding, and likes it no less than none at all. */
export function accepts(accepted: string | undefined, name: Compression['name']): boolean {
  if (accepted === undefined) return false
  const weight = weightOf(accepted, name)
  return weight > 0 && weight >= weightOf(accepted, 'identity')
}

/** From 0 to 1. What is not named weighs as much as `*`, but for what is no encoding at all: that goes last, as long as it may. */
function weightOf(accepted: string, name: string): number {
  let any = 0
  for (const part of accepted.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((text) => text.trim())
    if (coding !== name && coding !== '*') continue
    const [, weight = '1'] = /^q=([\d.]+)$/.exec(parameters.find((parameter) => parameter.startsWith('q=')) ?? '') ?? []
    if (coding === name) return Number(weight)
    any = Number(weight)
  }
  return name === 'identity' ? 0 : any
}
