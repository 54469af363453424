import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { accepts, COMPRESSIONS, chooseCompression } from './compress.ts'

const LARGE = 100_000

describe('a compression', () => {
  test.each([
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['GZIP', 'gzip'],
    ['*', 'br'],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip'],
    ['br; q=0.001', 'br'],
    ['gzip, *;q=0', 'gzip'],
    ['*;q=0', undefined],
    ['br;q=0.000, gzip;q=0', undefined],
    ['br;q=0.2, gzip;q=0.8', 'gzip'],
    ['br;q=0.2, *;q=0.8', 'gzip'],
    ['gzip ; q=1.000 , br ; Q=0.9', 'gzip'],
    ['identity;q=0, *', 'br'],
    ['identity;q=0.5, gzip;q=1.0', 'gzip'],
    ['identity, gzip', 'gzip'],
    ['identity, gzip;q=0.5', undefined],
    ['identity', undefined],
    ['identity;q=0', undefined],
    ['deflate, zstd', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('for a client that accepts %j is %s', (accepted, expected) => {
    expect(chooseCompression(accepted, LARGE)?.name).toBe(expected)
  })

  test('is accepted or refused by name', () => {
    const gzip = ['gzip', 'GZIP', '*', 'br, *;q=0.1', 'br;q=1, gzip;q=0.1'].map((accepted) => accepts(accepted, 'gzip'))
    expect(gzip).toEqual([true, true, true, true, true])
    const none = ['br', 'gzip;q=0', 'gzip;q=0.0, *', '*;q=0', 'identity, gzip;q=0.9', '', undefined]
    expect(none.map((accepted) => accepts(accepted, 'gzip'))).toEqual(none.map(() => false))
  })

  test('is chosen only for bodies from 1,024 bytes', () => {
    expect(chooseCompression('br', 1023)).toBeUndefined()
    expect(chooseCompression('br', 1024)?.name).toBe('br')
  })

  test.each(COMPRESSIONS)('$name round trips, small and large', ({ name, compress }) => {
    for (const size of [0, 2000, LARGE]) {
      const bytes = Buffer.from('weir '.repeat(size / 5))
      const unpacked = name === 'br' ? brotliDecompressSync(compress(bytes)) : gunzipSync(compress(bytes))
      expect(unpacked.equals(bytes)).toBe(true)
    }
  })
})
