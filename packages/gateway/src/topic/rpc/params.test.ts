import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseToWrite } from '../../json.ts'
import { Params, paramsText } from './params.ts'

const Value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(true, false, null, 0, -7, 1.5),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'), { maxKeys: 4 }),
  ),
})).value
const List = fc.array(Value)

/** The same value, with the keys of objects in another order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, part]) => [name, turned(part)] as const)
  return Object.fromEntries(entries.reverse())
}

function textOf(json: string): string | undefined {
  return paramsText(parseToWrite(json))
}

describe('the text of params', () => {
  test('is one for all writings of a value, says all of it, and is plain ASCII', () => {
    fc.assert(
      fc.property(List, (params) => {
        const text = textOf(JSON.stringify(params)) ?? ''
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(params)))
        expect(textOf(JSON.stringify(turned(params), undefined, 2))).toBe(text)
        expect(textOf(text)).toBe(text)
        expect(text).toMatch(/^[ -~]*$/)
      }),
    )
  })

  test.each([
    '[18446744073709551615]',
    '[1.0,1e2,-0,-0.0,1E+2]',
    '{"a":[9007199254740993],"b":0.10}',
    '{}',
    '["\\ud800"]',
  ])('leaves %s as it is', (text) => expect(textOf(text)).toBe(text))

  test('is an empty list where there are none', () => {
    expect(paramsText(undefined)).toBe('[]')
    expect(Params['~standard'].validate(undefined)).toEqual({ value: '[]' })
  })

  test.each(['null', '7', '1.50', '"a"', 'true', '['.repeat(33) + ']'.repeat(33)])('can not be had of %s', (text) => {
    expect(textOf(text)).toBeUndefined()
    expect(Params['~standard'].validate(text)).toHaveProperty('issues')
  })

  test.each(['', '[', '['.repeat(30_000)])('can not be had of what is no JSON', (text) => {
    expect(Params['~standard'].validate(text)).toHaveProperty('issues')
  })
})
