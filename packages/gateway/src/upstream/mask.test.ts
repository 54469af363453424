import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createMask } from './mask.ts'
import { maskOf } from './redact.ts'

const KEY = 'sk-live/aB3+x9=Zq&7'

/** Ways in which an upstream may write what it was sent. */
const WAYS: Readonly<Record<string, (secret: string) => string>> = {
  'as it is': (secret) => secret,
  'percent-encoded': encodeURIComponent,
  'percent-encoded in lower case': (secret) => encodeURIComponent(secret).replace(/%../g, (hex) => hex.toLowerCase()),
  'percent-encoded twice': (secret) => encodeURIComponent(encodeURIComponent(secret)),
  'percent-encoded in each character': (secret) =>
    [...Buffer.from(secret)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  'of a form': (secret) => new URLSearchParams({ a: secret }).toString().slice(2),
  'as JSON': (secret) => JSON.stringify(secret).slice(1, -1),
  'as JSON with escaped slashes': (secret) => JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
  'as JSON in code points': (secret) =>
    [...secret].map((one) => `\\u00${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  'as JSON in JSON': (secret) => JSON.stringify(JSON.stringify(secret)).slice(3, -3),
  'in HTML': (secret) =>
    secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
  'in HTML by numbers': (secret) => [...secret].map((one) => `&#x${one.charCodeAt(0).toString(16)};`).join(''),
  'in base64': (secret) => Buffer.from(secret).toString('base64'),
  'in base64 for addresses': (secret) => Buffer.from(secret).toString('base64url'),
}

/** What a key may be made of: what a header and an address can carry. */
const secrets = fc.string({
  unit: fc.constantFrom(
    ...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~+/=:;,!@#$%^&*()<>"\'[]{}',
  ),
  minLength: 12,
  maxLength: 60,
})

describe('a mask', () => {
  test.each(Object.entries(WAYS))('covers a secret that is written %s', (_, write) => {
    const text = `Incorrect API key provided: ${write(KEY)}.`
    const masked = maskOf([KEY]).text(text)
    expect(masked).toMatch(/^Incorrect API key provided: \*+=*\.$/)
    expect(masked).toHaveLength(text.length)
  })

  test('covers it inside of something longer in base64, wherever it stands', () => {
    for (const before of ['', 'u', 'us', 'use', 'user', 'user:']) {
      const text = Buffer.from(`${before}${KEY}@after`).toString('base64')
      const masked = maskOf([KEY]).text(text)
      expect(Buffer.from(masked.replaceAll('*', ''), 'base64').toString()).not.toContain(KEY.slice(3, -3))
      expect(masked).toContain('*'.repeat(12))
    }
  })

  test('leaves text that has none as it is, and is of its length where it has', () => {
    const bytes = Buffer.from([0, 255, 254, 37, 92, 38, 200])
    expect(maskOf([KEY]).bytes(bytes)).toBe(bytes)
    const found = Buffer.concat([bytes, Buffer.from(KEY), bytes])
    expect(maskOf([KEY]).bytes(found)).toEqual(Buffer.concat([bytes, Buffer.alloc(KEY.length, '*'), bytes]))
  })

  test('covers short secrets only where they stand alone, and leaves what is hardly one', () => {
    const mask = createMask(['key7', 'abc', ''])
    expect(mask.text('key7 monkey7s key7b "key7" ?a=key7&b=%3Dkey7 abc')).toBe(
      '**** monkey7s key7b "****" ?a=****&b=%3D**** abc',
    )
  })

  test('covers the longer of two that begin alike', () => {
    expect(createMask(['aaaaaaaa', 'aaaaaaaabbbbbbbb']).text('aaaaaaaabbbbbbbb aaaaaaaac')).toBe(
      `${'*'.repeat(16)} ${'*'.repeat(8)}c`,
    )
  })

  test('is quick where text is full of escapes', () => {
    const text = Buffer.from('%2F\\u002f&amp;'.repeat(200_000))
    const began = performance.now()
    maskOf([KEY, 'another-key-0123456789']).bytes(text)
    expect(performance.now() - began).toBeLessThan(3000)
  })
})

describe('the law of a mask', () => {
  test('no secret can be read in what it has covered, however it was written', () => {
    fc.assert(
      fc.property(secrets, fc.constantFrom(...Object.keys(WAYS)), fc.string(), fc.string(), (secret, way, a, b) => {
        const written = (WAYS[way] as (secret: string) => string)(secret)
        const masked = maskOf([secret]).text(`${a} ${written} ${b}`)
        expect(masked).not.toContain(written.replace(/=+$/, ''))
        expect(masked).not.toContain(secret)
      }),
      { numRuns: 2000 },
    )
  })

  test('pieces of any size are covered as the whole is, and nothing is held back that is no beginning of a secret', () => {
    fc.assert(
      fc.property(
        secrets,
        fc.constantFrom(...Object.keys(WAYS)),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 40 }),
        (secret, way, sizes) => {
          const written = (WAYS[way] as (secret: string) => string)(secret)
          const bytes = Buffer.from(`data: {"said":"${written}"} and ${written.slice(0, -1)}|\n\n`)
          const mask = maskOf([secret])
          const stream = mask.stream()
          const pieces: Buffer[] = []
          for (let at = 0, index = 0; at < bytes.length; index++) {
            const size = 1 + (sizes[index % sizes.length] ?? 0)
            pieces.push(Buffer.from(stream.push(bytes.subarray(at, at + size))))
            at += size
          }
          // The last byte of an event is passed on with it.
          expect(Buffer.concat(pieces)).toHaveLength(bytes.length)
          expect(Buffer.concat([...pieces, stream.end()]).toString()).toBe(mask.bytes(bytes).toString())
        },
      ),
      { numRuns: 1000 },
    )
  })
})
