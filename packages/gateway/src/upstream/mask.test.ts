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

const points = (secret: string, write: (hex: string, code: number) => string) =>
  [...secret].map((one) => write(one.charCodeAt(0).toString(16), one.charCodeAt(0))).join('')
const quoted = (text: string) => JSON.stringify(text).slice(1, -1)
const inHtml = (text: string) =>
  points(text, (_, code) => (/\w/.test(String.fromCharCode(code)) ? String.fromCharCode(code) : `&#${code};`))
const inJsonOfGo = (text: string) =>
  quoted(text).replaceAll('&', '\\u0026').replaceAll('<', '\\u003c').replaceAll('%', '\\u0025')

/** Escapes in escapes, and rarer ones. */
const NESTED: Readonly<Record<string, (secret: string) => string>> = {
  'in HTML in JSON': (secret) => inJsonOfGo(inHtml(secret)),
  'percent-encoded in JSON': (secret) => inJsonOfGo(encodeURIComponent(secret)),
  'in HTML in JSON in a form': (secret) => encodeURIComponent(inJsonOfGo(inHtml(secret))),
  'percent-encoded in HTML in JSON': (secret) => inJsonOfGo(inHtml(encodeURIComponent(secret))),
  'as JSON three times': (secret) => quoted(quoted(quoted(secret).replaceAll('/', '\\/'))),
  'percent-encoded three times': (secret) => encodeURIComponent(encodeURIComponent(encodeURIComponent(secret))),
  'in HTML with zeros': (secret) => points(secret, (_, code) => `&#${String(code).padStart(7, '0')};`),
  'in HTML by hexadecimal numbers with zeros': (secret) => points(secret, (hex) => `&#X${hex.padStart(8, '0')};`),
  'in HTML twice': (secret) => inHtml(secret).replaceAll('&', '&amp;'),
  'in HTML by names': (secret) =>
    secret.replaceAll('&', '&AMP;').replaceAll('/', '&sol;').replaceAll('+', '&plus;').replaceAll('=', '&equals;'),
  'by %uNNNN': (secret) => points(secret, (hex) => `%u00${hex}`),
  'by \\xNN': (secret) => points(secret, (hex) => `\\x${hex}`),
  'by \\u{NN}': (secret) => points(secret, (hex) => `\\u{${hex}}`),
  'in hexadecimal': (secret) => Buffer.from(secret).toString('hex'),
  'in hexadecimal in upper case': (secret) => Buffer.from(secret).toString('hex').toUpperCase(),
}

const BEYOND = 'pässwörd-€-𝒳-é'

/** Ways in which characters beyond ASCII are written. */
const CHARSETS: Readonly<Record<string, (secret: string) => Buffer>> = {
  'in UTF-8': (secret) => Buffer.from(secret),
  'percent-encoded': (secret) => Buffer.from(encodeURIComponent(secret)),
  'as JSON in code points': (secret) => Buffer.from(units(secret, (hex) => `\\u${hex.padStart(4, '0')}`)),
  'as JSON in code points in JSON': (secret) => Buffer.from(units(secret, (hex) => `\\\\u${hex.padStart(4, '0')}`)),
  'in HTML by numbers': (secret) => Buffer.from([...secret].map((one) => `&#${one.codePointAt(0)};`).join('')),
  'by %uNNNN': (secret) => Buffer.from(units(secret, (hex) => `%u${hex.padStart(4, '0')}`)),
  'in NFD': (secret) => Buffer.from(secret.normalize('NFD')),
  'in NFD as JSON in code points': (secret) =>
    Buffer.from(units(secret.normalize('NFD'), (hex) => `\\u${hex.padStart(4, '0')}`)),
  'in UTF-8 read as Latin-1': (secret) => Buffer.from(Buffer.from(secret).toString('latin1')),
  'in Latin-1 as far as it goes': (secret) =>
    Buffer.concat([...secret].map((one) => Buffer.from(one, one <= 'ÿ' ? 'latin1' : 'utf8'))),
}

function units(secret: string, write: (hex: string) => string): string {
  return secret
    .split('')
    .map((unit) => (unit > '~' ? write(unit.charCodeAt(0).toString(16)) : unit))
    .join('')
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

  test('reads each byte a bounded number of times, however text is escaped', () => {
    const mask = maskOf([KEY, 'another-key-0123456789'])
    for (const unit of [
      '%2F\\u002f&amp;',
      '\\',
      '&',
      '%',
      '&#',
      '&#0',
      '%u',
      '&\\u0061',
      '%25',
      '&amp;#',
      '\\u{',
      '%5C%75',
    ]) {
      let reads = 0
      const bytes = Buffer.from(unit.repeat(1000))
      const counting = new Proxy(bytes, {
        get(target, name) {
          reads += 1
          return Reflect.get(target, name, target)
        },
      })
      mask.bytes(counting)
      expect(reads / bytes.length, unit).toBeLessThan(250)
    }
  })

  test.each(Object.entries(NESTED))('covers a secret that is written %s', (_, write) => {
    const text = `"got: ${write(KEY)}."`
    const masked = maskOf([KEY]).text(text)
    expect(masked).toMatch(/^"got: \*+\."$/)
    expect(masked).toHaveLength(text.length)
  })

  test.each(Object.entries(CHARSETS))('covers a secret beyond ASCII that is written %s', (_, write) => {
    const bytes = Buffer.concat([Buffer.from('got: '), write(BEYOND), Buffer.from('.')])
    const masked = maskOf([BEYOND]).bytes(bytes)
    expect(masked.toString('latin1').replaceAll('\0', '')).toMatch(/^got: \*+\.$/)
    expect(masked).toHaveLength(bytes.length)
  })

  test('covers a long secret in any case, and a short one in its own', () => {
    const mask = maskOf([KEY, BEYOND, 'Key7'])
    for (const secret of [KEY, BEYOND]) {
      expect(mask.text(`got ${secret.toLowerCase()}.`)).toMatch(/^got \*+\.$/)
      expect(mask.text(`got ${secret.toUpperCase()}.`)).toMatch(/^got \*+\.$/)
      expect(mask.text(`got ${encodeURIComponent(secret.toLowerCase())}.`)).toMatch(/^got \*+\.$/)
    }
    expect(mask.text('Key7 key7')).toBe('**** key7')
  })

  test('covers UTF-16, and leaves its zeros', () => {
    for (const swap of [false, true]) {
      const bytes = Buffer.from(`{"said":"${KEY}"}`, 'utf16le')
      if (swap) bytes.swap16()
      const masked = maskOf([KEY]).bytes(bytes)
      expect((swap ? masked.swap16() : masked).toString('utf16le')).toBe(`{"said":"${'*'.repeat(KEY.length)}"}`)
    }
  })

  test('leaves JSON whole where a secret has escapes at its ends', () => {
    for (const secret of ['new\nline-key-0123', 'key-0123-ends-in-\\', '\\begins-a-key-0123', 'next-key-0123']) {
      const masked = maskOf([secret]).text(
        JSON.stringify({ said: secret, other: `\n${secret}\\`, nested: JSON.stringify([secret]) }),
      )
      expect(Object.keys(JSON.parse(masked))).toEqual(['said', 'other', 'nested'])
      expect(JSON.parse(masked).said).toMatch(/^\*+$/)
    }
  })

  test('takes any bytes, and leaves those that hold no secret', () => {
    const mask = maskOf([KEY, BEYOND, '\u{10ffff}-key-0123'])
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.constantFrom(37, 38, 92, 0, 195, 244, 191, 117, 48, 35, 59), { maxLength: 60 }),
    )
    fc.assert(
      fc.property(bytes, (given) => {
        const text = Buffer.from(given)
        expect(mask.bytes(text)).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test('ends its search for a secret of backslashes', () => {
    const mask = maskOf([`${'\\'.repeat(40)}x`])
    const text = '\\'.repeat(300)
    expect(mask.text(text)).toBe(text)
  })
})

describe('the law of a mask', () => {
  test('no secret can be read in what it has covered, however it was written', () => {
    fc.assert(
      fc.property(
        secrets,
        fc.constantFrom(...Object.keys({ ...WAYS, ...NESTED })),
        fc.string(),
        fc.string(),
        (secret, way, a, b) => {
          const written = ({ ...WAYS, ...NESTED }[way] as (secret: string) => string)(secret)
          const masked = maskOf([secret]).text(`${a} ${written} ${b}`)
          expect(masked).not.toContain(written.replace(/=+$/, ''))
          expect(masked).not.toContain(secret)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('pieces of any size are covered as the whole is, and nothing is held back that is no beginning of a secret', () => {
    fc.assert(
      fc.property(
        secrets,
        fc.constantFrom(...Object.keys({ ...WAYS, ...NESTED })),
        fc.array(fc.nat(20), { minLength: 1, maxLength: 40 }),
        (secret, way, sizes) => {
          const written = ({ ...WAYS, ...NESTED }[way] as (secret: string) => string)(secret)
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
      { numRuns: 300 },
    )
  })
})
