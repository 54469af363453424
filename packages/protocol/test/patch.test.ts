import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyPatch, makePatch } from '../src/index.ts'

/** JSON values that share members, so that patches are not trivial. Includes `__proto__`, which a parser can produce. */
const json = fc.letrec<{ value: unknown; members: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(0, 1, 1.5, '', 'a', true, false),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('members'),
  ),
  members: fc
    .array(fc.tuple(fc.constantFrom('a', 'b', 'c', '', '__proto__', 'constructor'), tie('value')), { maxLength: 4 })
    .map((members) => Object.fromEntries(members)),
}))

/** Examples of RFC 7396, appendix A: target, patch and result. */
const EXAMPLES: readonly (readonly [unknown, unknown, unknown])[] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]

describe('a merge patch', () => {
  test.each(EXAMPLES)('%j patched by %j is %j', (target, patch, result) => {
    expect(applyPatch(target, patch)).toStrictEqual(result)
  })

  test('produces exactly the new value, and changes neither input', () => {
    let made = 0
    fc.assert(
      fc.property(json.members, json.members, (from, to) => {
        const before = JSON.stringify([from, to])
        const patch = makePatch(from, to)
        if (patch !== undefined) {
          made += 1
          // Through JSON, as it is sent to clients. Compared by Node, since a Vitest matcher mistakes a member `constructor` for the type.
          expect(isDeepStrictEqual(applyPatch(from, JSON.parse(JSON.stringify(patch))), to)).toBe(true)
        }
        expect(JSON.stringify([from, to])).toBe(before)
      }),
      { numRuns: 2000 },
    )
    expect(made).toBeGreaterThan(500)
  })

  test('contains only the changes', () => {
    const from = { price: 1, name: 'Sol', book: { bids: [1, 2], asks: [3] }, gone: true }
    const to = { price: 2, name: 'Sol', book: { bids: [1, 2], asks: [4] } }
    expect(makePatch(from, to)).toEqual({ price: 2, book: { asks: [4] }, gone: null })
    expect(makePatch(from, { ...from })).toEqual({})
  })

  test.each([
    ['null comes', { a: 1 }, { a: null }],
    ['null comes inside a new value', { a: 1 }, { a: { b: null } }],
    ['the old value is no object', [1], { a: 1 }],
    ['the new value is no object', { a: 1 }, [1]],
    ['the values are nested too deep', nested(80, 1), nested(80, 2)],
  ])('is not made when %s', (_why, from, to) => {
    expect(makePatch(from, to)).toBeUndefined()
  })

  test('keeps unchanged nulls, and sets null inside arrays', () => {
    expect(makePatch({ a: null, b: 1 }, { a: null, b: [null] })).toEqual({ b: [null] })
  })
})

function nested(depth: number, value: unknown): unknown {
  return depth === 0 ? value : { a: nested(depth - 1, value) }
}
