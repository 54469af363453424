import { promisify } from 'node:util'
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'
import { unpooledCopy } from '../../buffer.ts'
import type { MaybePromise } from '../../call.ts'

/** Values of so many bytes are compressed: of less there is little to save, and it takes as long (`bench/packed.ts`). */
const WORTH = 4096

/** What takes longer than a quarter of a millisecond is done beside the event loop. */
const LONG = 131_072

const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** What every zstd frame begins with (RFC 8878, 3.1.1), and no JSON text. */
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** What JSON texts begin with (RFC 8259, 2 and 3). */
const JSON_BEGINS = new Set(Buffer.from('{["-0123456789tfn \t\r\n'))

/** A JSON text as it is kept: as it is, or as one zstd frame where that is smaller. What it begins with tells which. */
export function compressJson(json: Buffer): MaybePromise<Buffer> {
  if (json.byteLength < WORTH) return json
  const smaller = (made: Buffer) => (made.byteLength < json.byteLength ? made : json)
  return json.byteLength < LONG ? smaller(zstdCompressSync(json, FAST)) : compress(json, FAST).then(smaller)
}

/** The JSON text again; undefined for what a later version may have written in a way that this one does not know. */
export function decompressJson(body: Buffer): MaybePromise<Buffer | undefined> {
  if (!body.subarray(0, ZSTD.byteLength).equals(ZSTD))
    return JSON_BEGINS.has(body[0] ?? 0) ? unpooledCopy(body) : undefined
  if (body.byteLength >= LONG) return decompress(body).then(unpooledCopy, () => undefined)
  try {
    return unpooledCopy(zstdDecompressSync(body))
  } catch {
    return undefined
  }
}
