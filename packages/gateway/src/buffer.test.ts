import { expect, test } from 'vitest'
import { unpooledBuffer, unpooledCopy } from './buffer.ts'
import { COMPRESSIONS, deflateBlocks } from './compress.ts'

const shared = Buffer.from('a part of a larger one')

test.each([
  ['of a string', unpooledBuffer('é€𝄞 text'), Buffer.from('é€𝄞 text')],
  ['of an empty text', unpooledBuffer(''), Buffer.alloc(0)],
  ['of a part of a larger buffer', unpooledCopy(shared), shared],
])('a buffer %s is as large as what it holds', (_, own, bytes) => {
  expect(own.equals(bytes)).toBe(true)
  expect(own.buffer.byteLength).toBe(bytes.length)
})

test('compressed bytes keep', () => {
  const text = Buffer.from('again and again. '.repeat(100))
  for (const made of [...COMPRESSIONS.map(({ compress }) => compress(text)), deflateBlocks(text)])
    expect(made.buffer.byteLength).toBe(made.length)
})
