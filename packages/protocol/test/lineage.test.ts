import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judge, newLine, START_OVER_AFTER } from '../src/index.ts'

describe('a reader', () => {
  test('compares only versions while the lineage is the same or unknown', () => {
    const line = newLine('a')
    for (let now = 0; now < 10 * START_OVER_AFTER; now += 1000) {
      expect(judge(line, 'a', -1, now)).toBe('refuse')
      expect(judge(line, undefined, -1, now)).toBe('refuse')
    }
    expect(judge(line, 'a', 0, 0)).toBe('take')
    expect(judge(newLine(), 'b', 1, 0)).toBe('take')
  })

  test('starts over once only another lineage was present for the given time', () => {
    const line = newLine('a')
    expect(judge(line, 'b', -1, 1000)).toBe('refuse')
    expect(judge(line, 'b', -1, 999 + START_OVER_AFTER)).toBe('refuse')
    expect(judge(line, 'b', -1, 1000 + START_OVER_AFTER)).toBe('restart')
    expect(line.lineage).toBe('b')
    // The old server's values are older, whatever their versions.
    expect(judge(line, 'a', 1, 2000 + START_OVER_AFTER)).toBe('refuse')
    expect(judge(line, 'b', 1, 3000 + START_OVER_AFTER)).toBe('take')
  })

  test('with a version of unknown lineage starts over as well', () => {
    const line = newLine()
    expect(judge(line, 'b', -1, 1000)).toBe('refuse')
    expect(judge(line, 'b', -1, 999 + START_OVER_AFTER)).toBe('refuse')
    expect(judge(line, 'b', -1, 1000 + START_OVER_AFTER)).toBe('restart')
    expect(line.lineage).toBe('b')
    expect(judge(line, undefined, -1, 2000 + START_OVER_AFTER)).toBe('refuse')
  })

  test('restarts the wait with each accepted version', () => {
    const line = newLine('a')
    for (let now = 0; now < 20 * START_OVER_AFTER; now += START_OVER_AFTER / 2) {
      expect(judge(line, 'b', -1, now)).toBe('refuse')
      expect(judge(line, 'a', 0, now + 1)).toBe('take')
    }
  })

  test('follows a newer version into another lineage, and does not go back', () => {
    const line = newLine('a')
    expect(judge(line, 'b', 1, 0)).toBe('take')
    expect(judge(line, 'a', -1, 1)).toBe('refuse')
    expect(line.lineage).toBe('b')
  })

  test('is never moved back and forth by servers that answer in turns, whatever their versions', () => {
    const said = fc.record({
      lineage: fc.constantFrom('a', 'b', 'c', undefined),
      order: fc.constantFrom(-1, 0, 1),
      after: fc.integer({ min: 0, max: 40_000 }),
    })
    fc.assert(
      fc.property(fc.array(said, { maxLength: 60 }), fc.constantFrom('a', undefined), (all, first) => {
        const line = newLine(first)
        let now = 0
        let accepted = 0
        for (const { lineage, order, after } of all) {
          now += after
          const verdict = judge(line, lineage, order, now)
          // It goes back only after the whole time without an acceptable version.
          if (verdict === 'restart') expect(now - accepted).toBeGreaterThanOrEqual(START_OVER_AFTER)
          if (verdict !== 'refuse') accepted = now
        }
      }),
    )
  })
})
