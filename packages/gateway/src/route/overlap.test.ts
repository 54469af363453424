import { describe, expect, test } from 'vitest'
import { otherPathOf } from './overlap.ts'

describe('otherPathOf()', () => {
  test('returns the path whose fixed segments match', () => {
    const other = otherPathOf('/items/:id', ['/items/:id', '/items/all', '/books/:id'])
    expect(other?.('/items/all')).toBe('/items/all')
    expect(other?.('/items/all?depth=1')).toBe('/items/all')
    expect(other?.('/items/one')).toBeUndefined()
  })

  test('is undefined unless two paths can spell the same address', () => {
    expect(otherPathOf('/items/:id', ['/items/:id', '/items/:id/parts', '/books/:id'])).toBeUndefined()
    expect(otherPathOf('/:kind/all', ['/:kind/all', '/items/:id'])?.('/items/all')).toBe('/items/:id')
  })
})
