import { expect, test } from 'vitest'
import { http } from './http.ts'
import { push } from './push.ts'
import { withoutSecrets } from './redact.ts'
import { weir } from './weir.ts'

test.each([
  ['https://user:word@node.example:8080/v1/SECRET?api-key=SECRET#x', 'https://node.example:8080'],
  ['node.example/SECRET', 'node.example'],
  [undefined, 'undefined'],
])('of %s errors show %s', (url, shown) => {
  expect(withoutSecrets(url)).toBe(shown)
})

test.each([
  ['http', () => http({ name: 'a', url: 'https://a.example/?key=SECRET' })],
  ['weir', () => weir({ name: 'a', url: 'https://a.example/?key=SECRET' })],
  ['push', () => push({ url: 'https://a.example/?key=SECRET', subscribe: () => '', read: () => [] })],
])('%s tells no key of an address that it refuses', (_, declare) => {
  expect(declare).toThrow(/a\.example/)
  expect(declare).not.toThrow(/SECRET/)
})
