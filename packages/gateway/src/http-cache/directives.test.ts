import { describe, expect, test } from 'vitest'
import { readAge, readDirectives, readTargeted, secondsOf } from './directives.ts'

describe('Cache-Control', () => {
  test.each([
    ['max-age=60', 60],
    ['MaX-aGe=60', 60],
    ['max-age="60"', 60],
    ['max-age=0060', 60],
    ['public, max-age=60 , x', 60],
    ['max-age=60, max-age=60', 60],
    ['max-age=99999999999', 2 ** 31],
    ['public', undefined],
    ['a="max-age=60"', undefined],
    ['a="x, max-age=60, y"', undefined],
    ['a="x\\", max-age=60"', undefined],
    ['max-age=-60', 0],
    ['max-age=60.5', 0],
    ['max-age=60a', 0],
    ["max-age='60'", 0],
    ['max-age', 0],
    ['max-age =60', 0],
    ['max-age= 60', 0],
    ['max-age=60, max-age=90', 0],
    ['max-age=0, a="max-age=60"', 0],
    [undefined, undefined],
    ['', undefined],
  ])('%s gives %s seconds', (field, seconds) => {
    expect(secondsOf(readDirectives(field), 'max-age')).toBe(seconds)
  })

  test('parses directives without values and with quoted ones', () => {
    const directives = readDirectives('no-cache="a, b", private,,no-store')
    expect([...directives]).toEqual([
      ['no-cache', 'a, b'],
      ['private', ''],
      ['no-store', ''],
    ])
  })
})

describe('a targeted field', () => {
  test.each([
    ['max-age=60, private', { 'max-age': '60', private: '' }],
    ['max-age=60;a=b', { 'max-age': '60' }],
    ['private=?0, max-age=1', { 'max-age': '1' }],
    ['max-age="60"', { 'max-age': '' }],
    ['max-age=60, &&&', undefined],
    ['MAX-AGE=60', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s is parsed as a dictionary, or not at all', (field, expected) => {
    const read = readTargeted(field)
    expect(read === undefined ? undefined : Object.fromEntries(read)).toEqual(expected)
  })
})

test.each([
  ['60', 60],
  ['60, 0', 60],
  ['0, 60', 0],
  ['old', 0],
  ['-60', 0],
  ['60.0', 0],
  ['99999999999', 2 ** 31],
  [undefined, 0],
])('Age: %s is %s seconds', (field, seconds) => {
  expect(readAge(field)).toBe(seconds)
})
