/**
 * What it costs to compress a value on its way to Redis, and what it saves.
 *
 *   node bench/packed.ts
 */

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

/** Prices, until they have so many bytes. */
function value(bytes: number): Buffer {
  const list: unknown[] = []
  let size = 2
  while (size < bytes) {
    const one = { id: `So1111111${list.length}`, price: Math.random() * 1000, volume: Math.floor(Math.random() * 1e9) }
    list.push(one)
    size += JSON.stringify(one).length + 1
  }
  return Buffer.from(JSON.stringify(list))
}

/** Microseconds, the median of many. */
function median(work: () => unknown): number {
  const times = Array.from({ length: 400 }, () => {
    const began = performance.now()
    work()
    return (performance.now() - began) * 1000
  })
  return Math.round(times.sort((a, b) => a - b)[times.length / 2] ?? Number.NaN)
}

for (const size of [512, 1024, 2048, 4096, 16_384, 131_072, 1_048_576]) {
  const json = value(size)
  const made = zstdCompressSync(json, FAST)
  const [there, back] = [median(() => zstdCompressSync(json, FAST)), median(() => zstdDecompressSync(made))]
  process.stdout.write(`${json.length} bytes become ${made.length}: ${there} µs, and back ${back} µs\n`)
}
