import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareVersions, formatVersion, parseVersion } from '../src/index.ts'

const part = fc.oneof(fc.nat({ max: 3 }), fc.maxSafeNat())
const version = fc.record({ epoch: part, sequence: part }, { noNullPrototype: true })

describe('a version', () => {
  test('round trips', () => {
    fc.assert(
      fc.property(version, (one) => {
        expect(parseVersion(formatVersion(one))).toEqual(one)
      }),
    )
  })

  test('has a total order: equal only to itself, antisymmetric and transitive', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)))
        expect(compareVersions(a, b) === 0).toBe(formatVersion(a) === formatVersion(b))
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0)
        }
      }),
    )
  })

  test('of a later epoch is newer, whatever its sequence', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        fc.pre(a.epoch < b.epoch)
        expect(compareVersions(a, b)).toBeLessThan(0)
      }),
    )
  })

  test.each([
    '',
    ':',
    '1',
    '1:',
    ':1',
    '1:2:3',
    '-1:2',
    '1:-2',
    '1.5:2',
    ' 1:2',
    '1:2\n',
    '1e3:2',
    '0x1:2',
    '9007199254740992:1',
    '1:99999999999999999',
    'a:b',
  ])('%j is not a version', (text) => {
    expect(parseVersion(text)).toBeUndefined()
  })

  test('is never parsed from any other text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = parseVersion(text)
        if (read !== undefined) expect(text).toMatch(/^\d+:\d+$/)
      }),
    )
  })
})
