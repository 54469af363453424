import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJson, parseToWrite, stringifyJson } from './json.ts'

test.each([
  '{"rentEpoch":18446744073709551615,"lamports":2039280}',
  '[9007199254740993,-9007199254740993,9007199254740991]',
  '{"updated":1605192894630916600,"price":147.48}',
  '"12345678901234567890"',
])('%s comes out as it went in', (text) => {
  expect(stringifyJson(parseJson(text))).toBe(text)
})

test('only what a number can not hold is a bigint', () => {
  expect(parseJson('[18446744073709551615,9007199254740991,1.2345678901234567,1e300]')).toEqual([
    18446744073709551615n,
    9007199254740991,
    1.2345678901234567,
    1e300,
  ])
})

test('any JSON is read and written as JSON itself does', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(JSON.stringify(JSON.parse(text))).toBe(stringifyJson(JSON.parse(text)))
      expect(stringifyJson(parseJson(text))).toBe(stringifyJson(parseJson(stringifyJson(parseJson(text)) ?? '')))
    }),
  )
})

test('what is only written again keeps every digit and dot', () => {
  const Short = fc
    .tuple(fc.constantFrom('', '-'), fc.nat(), fc.constantFrom('', '.0', '.50', 'e2', 'E+7'))
    .map((parts) => parts.join(''))
  const Long = fc.bigInt({ min: 2n ** 53n, max: 10n ** 16n }).map(String)
  const Longer = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String)
  const Written = fc.oneof(Short, Long, Longer, fc.constant('-0'))
  fc.assert(
    fc.property(fc.array(Written), Written, fc.string(), fc.constantFrom('', ' ', '\n'), (list, n, text, blank) => {
      const json = (blank: string) =>
        `{"list":[${blank}${list.join(`,${blank}`)}],"n":${blank}${n},"t":${JSON.stringify(text)}}`
      expect(stringifyJson(parseToWrite(json(blank)))).toBe(json(''))
    }),
  )
})

test.each(['', '{', '{"a":12345678901234567890', 'undefined'])('%j is refused', (text) => {
  expect(() => parseJson(text)).toThrow(SyntaxError)
})

test.each(['1e400', '-1E+999', `${'9'.repeat(400)}.5`, '[0,{"a":1e309}]'])(
  '%s is refused: it would be written as null',
  (text) => {
    expect(() => parseJson(text)).toThrow(/expected a number that a double holds/)
  },
)

test('a byte order mark is no part of the text', () => {
  expect(parseJson('\ufeff{"a":1e308}')).toEqual({ a: 1e308 })
})
