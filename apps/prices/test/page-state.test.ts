import { expect, test } from 'vitest'
import { DEFAULT_MINTS } from '../page/src/default-tokens.ts'
import { readPageState, tokenAddress, writePageState } from '../page/src/page-state.ts'

const [SOL = '', JUP = ''] = DEFAULT_MINTS

function read(address: string) {
  const url = new URL(address, 'http://page/')
  return readPageState(url)
}

test('a URL without a list differs from one with an empty list', () => {
  expect(read('/').mints).toBeUndefined()
  expect(read('/?mints=').mints).toEqual([])
})

test('invalid mints are left out and counted, and duplicates are shown once', () => {
  expect(read(`/?mints=${SOL},0OIl,${JUP},${SOL},,<b>`)).toMatchObject({ mints: [SOL, JUP], malformed: 2 })
})

test('a written state parses to the same state', () => {
  const state = { mints: [SOL, JUP], token: JUP, sort: { by: 'change', descending: true } } as const
  const address = writePageState(state)
  expect(address).toBe(`?mints=${SOL},${JUP}&sort=-change&token=${JUP}`)
  expect(read(address)).toEqual({ ...state, malformed: 0 })
})

test('the default state is an empty string', () => {
  expect(writePageState({ mints: undefined, token: undefined, sort: undefined })).toBe('')
})

test('a long list goes into the hash, which servers do not read', () => {
  const mints = Array.from(
    { length: 1_000 },
    (_, index) => SOL.slice(0, 40) + String(1111 + index).replaceAll('0', 'Z'),
  )
  const address = writePageState({ mints, token: SOL, sort: undefined })
  expect(address.indexOf('#')).toBeLessThan(100)
  expect(read(address)).toMatchObject({ mints, token: SOL, malformed: 0 })
  const page = writePageState({ mints, token: undefined, sort: undefined })
  expect(read(tokenAddress(page, JUP))).toMatchObject({ mints, token: JUP })
})

test('an unknown sort or a malformed token is ignored', () => {
  expect(read('/?sort=-age&token=nobody')).toMatchObject({ sort: undefined, token: undefined })
})
