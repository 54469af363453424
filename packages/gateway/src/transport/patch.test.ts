import { applyPatch } from '@weir/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Entry, hashOf } from '../entry.ts'

import { parseJson, stringifyJson } from '../json.ts'
import { patchOf } from './patch.ts'

let sequence = 0

/** An entry of a JSON text, as an upstream might send it. */
function entry(text: string): Entry {
  sequence += 1
  const content = { json: Buffer.from(text), reason: undefined, absentFor: undefined }
  const version = { epoch: 1, sequence }
  return new Entry('/a', {}, { ...content, version, hash: hashOf(content), changedAt: 1, checkedAt: 2 }, 0)
}

const WIDE = 'x'.repeat(100)

/** Numbers as texts: small ones, ones with more digits than a double has, and ones that are written in several ways. */
const number = fc.oneof(
  fc.integer({ min: -3, max: 3 }).map(String),
  fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 64n }).map(String),
  fc.constantFrom('1.0', '1e2', '-0', '0.1', '0.30000000000000004441', '1E308', '9007199254740993'),
)
const scalar = fc.oneof(number, fc.constantFrom('true', 'null', '""', '"a"', '"é"'))
const name = fc.constantFrom('a', 'b', 'c', '__proto__')
const text = fc.letrec<{ value: string; object: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    tie('object'),
    fc.array(tie('value'), { maxLength: 3 }).map((all) => `[${all}]`),
  ),
  object: fc
    .uniqueArray(fc.tuple(name, tie('value')), { maxLength: 3, selector: ([one]) => one })
    .map((members) => `{${members.map(([one, value]) => `"${one}":${value}`)}}`),
}))

describe('a patch from one entry to the next', () => {
  test('makes exactly the value of the snapshot, to the last digit, or there is none', () => {
    let made = 0
    fc.assert(
      fc.property(text.object, text.object, (before, after) => {
        const [from, to] = [before, after].map((body) => entry(`{"wide":"${WIDE}","body":${body}}`)) as [Entry, Entry]
        const patch = patchOf(from, to)?.subject
        if (patch === undefined) return
        made += 1
        expect(patch).toMatchObject({ topic: '/a', from: from.versionText, version: to.versionText, changedAt: 1 })
        // With a reader that loses no digit, and with the one that browsers have.
        for (const read of [parseJson, JSON.parse]) {
          const sent = read(stringifyJson(patch.patch) ?? '')
          const seen = applyPatch(read(String(from.content.json)), sent)
          expect(sorted(seen)).toBe(sorted(read(String(to.content.json))))
        }
        expect(sorted(applyPatch(parseJson(String(from.content.json)), patch.patch))).toBe(
          sorted(parseJson(String(to.content.json))),
        )
      }),
      { numRuns: 3000 },
    )
    expect(made).toBeGreaterThan(200)
  })

  test.each([
    ['9007199254740993', '9007199254740995'],
    ['1.0', '2'],
    ['0.30000000000000004441', '0.3'],
  ])('is none from %s to %s: one of them is not its own text again', (before, after) => {
    expect(patchOf(entry(`{"w":"${WIDE}","n":${before}}`), entry(`{"w":"${WIDE}","n":${after}}`))).toBeUndefined()
  })

  test('is none to or from what is small, or absent', () => {
    const wide = entry(`{"w":"${WIDE}"}`)
    const content = { json: undefined, reason: 'gone', absentFor: 1 }
    const gone = new Entry(
      '/a',
      {},
      { ...content, version: { epoch: 1, sequence: 1e6 }, hash: '', changedAt: 0, checkedAt: 0 },
      0,
    )
    expect(patchOf(entry('{"a":1}'), entry('{"a":2}'))).toBeUndefined()
    expect(patchOf(gone, wide)).toBeUndefined()
    expect(patchOf(wide, gone)).toBeUndefined()
  })

  test('is made once for all who have what was before, and for nobody else', () => {
    const [older, from, to] = [1, 2, 3].map((n) => entry(`{"w":"${WIDE}","n":${n}}`)) as [Entry, Entry, Entry]
    const patch = patchOf(from, to)
    expect(patch?.subject.patch).toEqual({ n: 3 })
    expect(patchOf(from, to)).toBe(patch)
    expect(patchOf(older, to)).toBeUndefined()
  })
})

/** A JSON value with the members of objects in one order, which a patch does not keep. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted)}]`
  if (typeof value !== 'object' || value === null) return `${typeof value} ${String(value)}`
  return `{${Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, part]) => `${JSON.stringify(name)}:${sorted(part)}`)}}`
}
