import { describe, expect, test } from 'vitest'
import { Faults, readFault } from './faults.ts'

describe('a fault on demand', () => {
  test('is over after its count', () => {
    const faults = new Faults<'500'>()
    faults.add({ kind: '500', count: 2 }, 0)
    expect([1, 2, 3].map((at) => faults.take(['/price/v3'], at)?.kind)).toEqual(['500', '500', undefined])
  })

  test('is over after its time, and says when', () => {
    const faults = new Faults<'500'>()
    faults.add({ kind: '500', for: 100 }, 50)
    expect(faults.take(['/price/v3'], 149)?.until).toBe(150)
    expect(faults.take(['/price/v3'], 150)).toBeUndefined()
  })

  test('hits only calls under its path, and takes only those from its count', () => {
    const faults = new Faults<'500'>()
    faults.add({ kind: 'hang', path: '/swap', count: 1 }, 0)
    expect(faults.take(['/price/v3'], 1)).toBeUndefined()
    expect(faults.take(['/swap/v1/quote'], 2)?.kind).toBe('hang')
    expect(faults.take(['/swap/v1/quote'], 3)).toBeUndefined()
  })

  test('the one asked for first comes first', () => {
    const faults = new Faults<'500'>()
    faults.add({ kind: '500', count: 1 }, 0)
    faults.add({ kind: 'garbage', count: 1 }, 0)
    expect([1, 2].map((at) => faults.take(['/'], at)?.kind)).toEqual(['500', 'garbage'])
  })

  test('slow is five seconds unless told', () => {
    const faults = new Faults<'500'>()
    faults.add({ kind: 'slow', count: 1 }, 0)
    faults.add({ kind: 'slow', delay: 80 }, 0)
    expect([1, 2].map((at) => faults.take(['/'], at)?.delay)).toEqual([5_000, 80])
  })
})

describe('reading a fault', () => {
  test('takes every field', () => {
    const spec = { kind: 'slow', for: 1_000, count: 3, path: '/price', delay: 200 }
    expect(readFault(spec, ['500'])).toEqual(spec)
    expect(readFault({ kind: '500' }, ['500'])).toEqual({ kind: '500' })
  })

  test.each([
    [undefined, 'expected a fault as a JSON object such as {"kind":"slow","for":1000}, got undefined'],
    [[], 'expected a fault as a JSON object such as {"kind":"slow","for":1000}, got []'],
    [{}, 'expected kind to be one of 500, hang, slow, garbage, truncated, wrong-type, dead, got nothing'],
    [{ kind: 'x' }, 'expected kind to be one of 500, hang, slow, garbage, truncated, wrong-type, dead, got "x"'],
    [{ kind: 'hang', until: 3 }, 'expected only the fields kind, for, count, path, delay, slots, got "until"'],
    [{ kind: 'hang', for: 0 }, 'expected for to be milliseconds above 0, got 0'],
    [{ kind: 'hang', count: 1.5 }, 'expected count to be a whole number above 0, got 1.5'],
    [{ kind: 'slow', delay: '1' }, 'expected delay to be milliseconds, 0 or more, got "1"'],
    [{ kind: 'slow', path: 'price' }, 'expected path to be a text that begins with /, got "price"'],
  ])('%j: says what was expected and what came', (value, said) => {
    expect(readFault(value, ['500'])).toBe(said)
  })
})
