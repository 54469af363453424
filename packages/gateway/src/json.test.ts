import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseJson, parseToWrite, stringifyJson, unwritable } from './json.ts'

test.each([
  '{"rentEpoch":18446744073709551615,"lamports":2039280}',
  '[9007199254740993,-9007199254740993,9007199254740991]',
  '{"updated":1605192894630916600,"price":147.48}',
  '"12345678901234567890"',
])('%s comes out as it went in', (text) => {
  expect(stringifyJson(parseJson(text))).toBe(text)
})

test('only numbers that a double cannot hold become bigints', () => {
  expect(parseJson('[18446744073709551615,9007199254740991,1.2345678901234567,1e300]')).toEqual([
    18446744073709551615n,
    9007199254740991,
    1.2345678901234567,
    1e300,
  ])
})

test('any other JSON is parsed and written as by JSON itself', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(JSON.stringify(JSON.parse(text))).toBe(stringifyJson(JSON.parse(text)))
      expect(stringifyJson(parseJson(text))).toBe(stringifyJson(parseJson(stringifyJson(parseJson(text)) ?? '')))
    }),
  )
})

test('numbers that are only forwarded keep every digit and dot', () => {
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

test('a byte order mark is skipped', () => {
  expect(parseJson('\ufeff{"a":1e308}')).toEqual({ a: 1e308 })
})

class Point {
  x = 1
}

const cycle: { self?: unknown } = {}
cycle.self = [cycle]

test.each<[value: unknown, got: string]>([
  [Number.NaN, 'NaN'],
  [undefined, 'undefined'],
  [() => 1, 'a function'],
  [{ prices: [1, 2, { value: Number.NEGATIVE_INFINITY }] }, '-Infinity at prices[2].value'],
  [[1, undefined], 'undefined at [1]'],
  [new Array(2), 'undefined at [0]'],
  [{ 'a b': new Map([[1, 2]]) }, 'an object of class Map at ["a b"]'],
  [{ at: new Date(0) }, 'an object of class Date at at'],
  [[new Set()], 'an object of class Set at [0]'],
  [new Error('no'), 'an object of class Error'],
  [{ p: new Point() }, 'an object of class Point at p'],
  [{ bytes: Buffer.from('a') }, 'an object of class Buffer at bytes'],
  [{ at: Symbol('a') }, 'a symbol at at'],
  [{ toJSON: () => 1 }, 'a function at toJSON'],
])('JSON does not carry %o', (value, got) => {
  expect(unwritable(value)).toBe(got)
})

test('a cycle is refused', () => {
  expect(unwritable(cycle)).toMatch(/^a cycle, or more than 1000 levels at self\[0\]\.self\[0\].*…$/)
})

test('values that round trip are accepted, all others are refused', () => {
  const odd = fc.constantFrom<unknown>(
    Number.NaN,
    Number.POSITIVE_INFINITY,
    new Date(0),
    new Map(),
    new Point(),
    () => 1,
  )
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue(),
      fc.bigInt({ min: 2n ** 53n }),
      fc.constantFrom(2 ** 53, -(2 ** 60)),
      odd,
      tie('list'),
      tie('object'),
    ),
    list: fc.array(fc.option(tie('any'), { nil: undefined })),
    object: fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.option(tie('any'), { nil: undefined }),
    ),
  })).any
  /** The value that a reader gets, or undefined if it cannot be written. */
  const carried = (given: unknown) => {
    const text = stringifyJson(given)
    return text === undefined ? undefined : parseJson(text)
  }
  fc.assert(
    fc.property(value, (given) => {
      const isSame = given !== undefined && isDeepStrictEqual(normal(carried(given)), normal(given))
      expect(unwritable(given) === undefined).toBe(isSame)
    }),
  )
})

/** Omits undefined properties and the sign of zero, makes all objects alike, and integers beyond 2^53 bigints, as readers get them. */
function normal(value: unknown): unknown {
  if (value === 0) return 0
  if (typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(String(value)))
    return BigInt(String(value))
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return value
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  return Object.fromEntries(parts.map(([key, part]) => [key, normal(part)]))
}
