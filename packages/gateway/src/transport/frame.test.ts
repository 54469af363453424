import { constants, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deflatedFrame, PING_FRAME, pongFrame, textFrame } from './frame.ts'

/** What a peer reads of frames, as RFC 6455, 5.2 and RFC 7692, 7.2.2 say; ws and Chromium read them in tests of the whole. */
function read(frames: readonly Buffer[]): readonly string[] {
  const heard: string[] = []
  for (let rest = Buffer.concat(frames); rest.length > 0; ) {
    const [head = 0, short = 0] = rest
    const [start, length] =
      short === 127 ? [10, Number(rest.readBigUInt64BE(2))] : short === 126 ? [4, rest.readUInt16BE(2)] : [2, short]
    const payload = rest.subarray(start, start + length)
    const deflated = (head & 0x40) !== 0
    const whole = deflated
      ? inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH })
      : payload
    heard.push(`${(head & ~0x40).toString(16)} ${whole}`)
    rest = rest.subarray(start + length)
  }
  return heard
}

const TAIL = Buffer.from([0, 0, 0xff, 0xff])

describe('a frame', () => {
  test('has the shortest length there is, at each bound', () => {
    const heads = [0, 125, 126, 65_535, 65_536].map((length) => {
      const bytes = textFrame('x'.repeat(length))
      const start = bytes.length - length
      return bytes.subarray(0, start).toString('hex')
    })
    expect(heads).toEqual(['8100', '817d', '817e007e', '817effff', '817f0000000000010000'])
  })

  test.each([0, 1, 1023, 1024, 5000, 70_000, 300_000])(
    'of a text of %i bytes is read as it was, plain or deflated',
    (length) => {
      const text = Array.from({ length }, (_, index) => String.fromCharCode(97 + ((index * 7) % 26))).join('')
      const frames = [textFrame(text), deflatedFrame(text), PING_FRAME, pongFrame(Buffer.from('data'))]
      expect(read(frames)).toEqual([`81 ${text}`, `81 ${text}`, '89 ', '8a data'])
    },
  )

  test('is deflated where that pays, and then smaller', () => {
    const compressed = (bytes: Buffer) => ((bytes[0] ?? 0) & 0x40) !== 0
    expect(compressed(deflatedFrame('a'.repeat(1023)))).toBe(false)
    expect(compressed(deflatedFrame('a'.repeat(1024)))).toBe(true)
    expect(deflatedFrame('a'.repeat(1024)).length).toBeLessThan(50)
    expect(compressed(textFrame('a'.repeat(10_000)))).toBe(false)
  })

  test('carries any text', () => {
    const long = fc
      .tuple(fc.string({ unit: 'binary' }), fc.nat({ max: 100 }))
      .map(([text, times]) => text.repeat(times))
    fc.assert(
      fc.property(fc.array(long, { maxLength: 5 }), (texts) => {
        const well = texts.map((text) => text.toWellFormed())
        expect(read(well.flatMap((text) => [textFrame(text), deflatedFrame(text)]))).toEqual(
          well.flatMap((text) => [`81 ${text}`, `81 ${text}`]),
        )
      }),
    )
  })
})
