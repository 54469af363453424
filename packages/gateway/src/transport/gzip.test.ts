import { once } from 'node:events'
import { constants, createGunzip, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GZIP_HEAD, gzipPiece } from './gzip.ts'

/** What a reader has who was sent so much, and no end. */
function gunzip(pieces: readonly Buffer[]): string {
  return gunzipSync(Buffer.concat([GZIP_HEAD, ...pieces]), { finishFlush: constants.Z_SYNC_FLUSH }).toString()
}

/** Texts of all sizes, some that shrink and some that don't. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
  fc.tuple(fc.string({ unit: 'grapheme' }), fc.nat({ max: 3000 })).map(([text, times]) => text.repeat(times)),
  fc
    .tuple(fc.nat(), fc.constantFrom(0, 1, 1023, 1024, 5000, 65_535, 65_536, 70_000, 200_000))
    .map(([seed, length]) => noise(seed, length)),
)

/** Bytes that don't shrink, as letters of one byte. */
function noise(seed: number, length: number): string {
  const codes = new Uint8Array(length)
  let state = seed + 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    codes[i] = (state >>> 16) & 0x7f
  }
  return Buffer.from(codes).toString('latin1')
}

test('whichever texts a connection was sent, they are what is unpacked', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.boolean()), { maxLength: 8 }), (texts) => {
      const pieces = texts.map(([text, sent]) => ({ text, sent, piece: gzipPiece(text) }))
      const sent = pieces.filter(({ sent }) => sent)
      expect(gunzip(pieces.map(({ piece }) => piece))).toBe(texts.map(([text]) => text).join(''))
      expect(gunzip(sent.map(({ piece }) => piece))).toBe(sent.map(({ text }) => text).join(''))
    }),
    { numRuns: 200 },
  )
})

test('each text is there as soon as its piece is', async () => {
  const reader = createGunzip()
  reader.write(GZIP_HEAD)
  for (const text of ['small', 'large '.repeat(1000), noise(1, 100_000), 'small again']) {
    let heard = ''
    reader.write(gzipPiece(text))
    while (heard.length < text.length) heard += (await once(reader, 'data'))[0]
    expect(heard).toBe(text)
  }
})

test('a small text takes five bytes more, a large one less', () => {
  for (const length of [0, 1, 1023]) expect(gzipPiece('x'.repeat(length))).toHaveLength(length + 5)
  expect(gzipPiece('{"price":1.5,"id":"SOL"}'.repeat(100)).length).toBeLessThan(100)
  // What does not shrink is stored, in as many blocks as it takes.
  expect(gzipPiece(noise(1, 5000)).length).toBeLessThanOrEqual(5005)
  expect(gzipPiece(noise(1, 200_000)).length).toBeLessThan(200_100)
})
