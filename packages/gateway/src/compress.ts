import { brotliCompressSync, constants, deflateRawSync, gzipSync } from 'node:zlib'
import { unpooledCopy } from './buffer.ts'

/** Below this many bytes compression saves no packet. */
export const WORTH_IT = 1024

/** Above this many bytes strong compression would block the event loop. */
const LARGE = 65_536

/** A compression and its name in `Accept-Encoding` and `Content-Encoding`. */
export interface Compression {
  readonly name: 'br' | 'gzip'
  compress(bytes: Uint8Array): Buffer
}

/** Best first. */
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
 * Compresses bytes to DEFLATE blocks (RFC 1951) that refer to no earlier data and end at a byte boundary with `00 00 ff
 * ff`. Such blocks can be concatenated in any order.
 */
export function deflateBlocks(bytes: Uint8Array): Buffer {
  const level = bytes.length > LARGE ? 1 : 6
  return unpooledCopy(deflateRawSync(bytes, { level, finishFlush: constants.Z_SYNC_FLUSH }))
}

/**
 * The client's preferred compression for a body of this size; undefined if none is worth it.
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

/** Whether a client accepts an encoding and does not prefer `identity`. */
export function accepts(accepted: string | undefined, name: Compression['name']): boolean {
  if (accepted === undefined) return false
  const weight = weightOf(accepted, name)
  return weight > 0 && weight >= weightOf(accepted, 'identity')
}

/** The weight of a coding, from 0 to 1. An unnamed coding has the weight of `*`; unnamed `identity` comes last. */
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
