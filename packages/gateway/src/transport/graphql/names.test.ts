import fc from 'fast-check'
import { expect, test } from 'vitest'
import { namesFor } from './names.ts'

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.stringMatching(/^[_a-zA-Z0-9-]{0,4}$/))

test('names are valid, each given once, the same each time, and those of valid texts are the texts', () => {
  fc.assert(
    fc.property(fc.uniqueArray(text, { maxLength: 30 }), (texts) => {
      const names = namesFor(texts)
      expect([...names.keys()].sort()).toEqual([...texts].sort())
      expect(new Set(names.values()).size).toBe(texts.length)
      for (const [text, name] of names) {
        expect(name).toMatch(/^(?!__)[_A-Za-z][_0-9A-Za-z]*$/)
        if (/^(?!__)[_A-Za-z][_0-9A-Za-z]*$/.test(text)) expect(name).toBe(text)
      }
      expect(namesFor(texts)).toEqual(names)
    }),
  )
})

test('what can not be in a name is an underscore, and who comes second gets a number', () => {
  expect([...namesFor(['last-trade', 'last_trade', 'last.trade', '24h', '__typename', ''])]).toEqual(
    expect.arrayContaining([
      ['last_trade', 'last_trade'],
      ['last-trade', 'last_trade_2'],
      ['last.trade', 'last_trade_3'],
      ['24h', '_24h'],
      ['__typename', '_typename'],
      ['', '_'],
    ]),
  )
})
