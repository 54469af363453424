import { describe, expect, test } from 'vitest'
import { describe as inWords, milliseconds, type OptionTable, readOptions } from './options.ts'

const TABLE = {
  name: { kind: 'text', help: '' },
  every: { kind: 'duration', default: '1s', min: 10, max: 60_000, help: '' },
  room: { kind: 'bytes', default: '16mb', min: 1024, help: '' },
  batch: { kind: 'integer', default: 50, min: 1, max: 100, help: '' },
  loud: { kind: 'boolean', default: false, help: '' },
  url: { kind: 'url', optional: true, help: '' },
  keys: { kind: 'texts', optional: true, help: '' },
  anything: { kind: 'any', optional: true, help: '' },
} as const satisfies OptionTable

const read = (given: unknown) => readOptions('thing "x"', TABLE, given)

describe('options', () => {
  test('that are missing have their defaults, in milliseconds and bytes', () => {
    expect(read({ name: 'x' })).toEqual({
      name: 'x',
      every: 1000,
      room: 16 * 1024 ** 2,
      batch: 50,
      loud: false,
      url: undefined,
      keys: undefined,
      anything: undefined,
    })
  })

  test('are frozen', () => {
    expect(() => Object.assign(read({ name: 'x' }), { name: 'y' })).toThrow(TypeError)
  })

  test.each([
    ['every', '250ms', 250],
    ['every', '0.5s', 500],
    ['every', '1m', 60_000],
    ['room', '64kb', 65_536],
    ['room', '2048b', 2048],
    ['room', '1gb', 1024 ** 3],
    ['batch', 100, 100],
    ['url', 'https://api.example.com/v1', 'https://api.example.com/v1'],
    ['keys', ' a, b ,,c ', ['a', 'b', 'c']],
    ['keys', ['a', ' b '], ['a', 'b']],
    ['keys', '', []],
    ['loud', true, true],
  ])('%s: %j is read as %j', (name, given, expected) => {
    expect(read({ name: 'x', [name]: given })).toHaveProperty(name, expected)
  })

  test.each([
    ['every', 100],
    ['every', '100'],
    ['every', '1 s'],
    ['every', '-1s'],
    ['every', '1e3ms'],
    ['every', '5constructor'],
    ['every', '9ms'],
    ['every', '61s'],
    ['room', '1tb'],
    ['room', '1kib'],
    ['room', '1b'],
    ['batch', 0],
    ['batch', 101],
    ['batch', 1.5],
    ['batch', '50'],
    ['batch', Number.NaN],
    ['loud', 'yes'],
    ['name', ''],
    ['name', 7],
    ['url', 'example.com'],
    ['url', 'ftp://example.com'],
    ['url', 'javascript:alert(1)'],
    ['keys', [1]],
    ['keys', { a: 1 }],
  ])('%s: %j is refused, and the message names both', (name, given) => {
    const refused = () => read({ name: 'x', [name]: given })
    expect(refused).toThrow(expect.objectContaining({ name: 'ConfigError', where: 'thing "x"', key: name }))
    expect(refused).toThrow(/^thing "x": \w+: expected .+, got .+/)
  })

  test.each([
    [{ nam: 'x' }, 'nam', 'a known option (did you mean "name"?), got "nam"'],
    [{ name: 'x', evry: '1s' }, 'evry', 'did you mean "every"?'],
    [{ name: 'x', Batch: 1 }, 'Batch', 'did you mean "batch"?'],
    [{ name: 'x', somethingElse: 1 }, 'somethingElse', 'expected one of name, every, room, batch'],
    [{ name: 'x', constructor: 1 }, 'constructor', 'expected one of'],
  ])('%j: an unknown name is refused, with the nearest known one if any is near', (given, key, message) => {
    expect(() => read(given)).toThrow(expect.objectContaining({ key }))
    expect(() => read(given)).toThrow(message)
  })

  test('a missing option without a default is refused', () => {
    expect(() => read({})).toThrow('thing "x": name: expected a string, got nothing')
  })

  test.each([[undefined], [null], ['name'], [[]]])('%j is not an object of options', (given) => {
    expect(() => read(given)).toThrow('thing "x": options: expected an object')
  })
})

describe('the description of an option', () => {
  test.each([
    [TABLE.every, "a duration such as '1s', at least 10 ms, at most 60,000 ms"],
    [TABLE.room, "a size such as '16mb', at least 1,024 bytes"],
    [TABLE.batch, 'a whole number, at least 1, at most 100'],
    [TABLE.loud, 'true or false'],
  ])('%#', (option, expected) => {
    expect(inWords(option)).toBe(expected)
  })
})

test.each([
  ['1ms', 1],
  ['1.5s', 1500],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['1d', 86_400_000],
])('%s is %i milliseconds', (text, expected) => {
  expect(milliseconds('x', 'y', text)).toBe(expected)
})
