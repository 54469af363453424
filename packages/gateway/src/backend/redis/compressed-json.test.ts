import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compressJson, decompressJson } from './compressed-json.ts'

const sizes = fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.constant(131_072), fc.constant(1_000_000))

test('what is packed is unpacked the same, of any size, and never larger', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.boolean(), async (size, random) => {
      const text = random ? randomBytes(size / 2).toString('hex') : 'price '.repeat(size / 6)
      const json = Buffer.from(JSON.stringify({ text }))
      const body = await compressJson(json)
      expect(body.byteLength).toBeLessThanOrEqual(json.byteLength)
      if (json.byteLength >= 4096) expect(body.byteLength).toBeLessThan(json.byteLength)
      expect((await decompressJson(body))?.equals(json)).toBe(true)
    }),
  )
})

test('what nothing is gained by stays as it is', async () => {
  const small = Buffer.from('{"price":1}')
  expect(await compressJson(small)).toBe(small)
  const noise = randomBytes(200_000)
  expect(await compressJson(noise)).toBe(noise)
})

test.each(['{}', '[]', '""', '-1', '0', 'true', 'false', 'null', ' 1'])(
  '%s is read as a node writes it that does not compress',
  async (json) => {
    expect(String(await decompressJson(Buffer.from(json)))).toBe(json)
  },
)

test.each([[[1, 2, 3]], [[0x28, 0xb5, 0x2f, 0xfd, 9, 9]], [[]]])('%j is nothing that can be read', async (bytes) => {
  expect(await decompressJson(Buffer.from(bytes))).toBeUndefined()
})
