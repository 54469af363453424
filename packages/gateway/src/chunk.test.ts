import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chunk, unchunked } from './chunk.ts'

test('a chunk begins with its length', () => {
  expect(chunk(Buffer.from('x'.repeat(26))).toString()).toBe(`1a\r\n${'x'.repeat(26)}\r\n`)
})

test('removing the frames gives back the framed bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 }), (pieces) => {
      expect(Buffer.from(unchunked(Buffer.concat(pieces.map(chunk))))).toEqual(Buffer.concat(pieces))
    }),
  )
})
