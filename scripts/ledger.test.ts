import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ledgerRows, wrongWith } from './ledger.ts'

const ROOT = join(import.meta.dirname, '..')

test.each(globSync('apps/*/README.md', { cwd: ROOT }))('every row of the ledger of %s names what is there', (path) => {
  const rows = ledgerRows(readFileSync(join(ROOT, path), 'utf8'))
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.map(wrongWith).filter((wrong) => wrong !== undefined)).toEqual([])
})

describe('a row of a ledger', () => {
  const row = (shown: string, there = 'something', figure = '') => wrongWith(['a promise', there, shown, figure])

  test.each([
    '`npm start`',
    '`npm run check`',
    '`node scripts/check.ts`',
    '`node bench/crowd.ts 10 5`',
    '`scripts/ledger.ts`',
    '`scripts/ledger.test.ts › may omit evidence only when it is marked as missing`',
  ])('may name %s', (shown) => expect(row(shown)).toBeUndefined())

  test.each([
    '',
    '–',
    'somebody said so',
    '`npm run nothing`',
    '`node bench/nothing.ts`',
    '`bench`',
    '`scripts/nothing.test.ts › may name nothing`',
    // Split, or this file would contain a test of this name.
    `\`scripts/ledger.test.ts › ${'a test '}that nobody wrote\``,
    '`npm start` and `bench/nothing.ts`',
  ])('may not name %s', (shown) => expect(row(shown)).toContain('a promise: expected'))

  test('may omit evidence only when it is marked as missing', () => {
    expect(row('–', '**not yet**')).toBeUndefined()
    expect(row('–', '**not here**: a host does it')).toBeUndefined()
    expect(row('`bench/nothing.ts`', '**not yet**')).toBeDefined()
  })

  test('must not cite figures of a missing command', () => {
    expect(row('`npm start`', 'something', '3 ms (`node bench/nothing.ts`)')).toBeDefined()
  })

  test('has four cells, and the next heading ends the ledger', () => {
    expect(wrongWith(['a promise', 'there'])).toBe('a promise: expected four cells, got 2')
    expect(ledgerRows('## Ledger\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n## Next\n\n| 3 | 4 |\n')).toEqual([['1', '2']])
    expect(ledgerRows('## Other\n\n| a | b |\n| - | - |\n| 1 | 2 |\n')).toEqual([])
  })
})
