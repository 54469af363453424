import { expect, test } from 'vitest'
import { withoutSecrets } from '../errors.ts'
import { http } from './http.ts'
import { jsonRpc } from './json-rpc/json-rpc.ts'
import { jsonRpcPush } from './json-rpc/push.ts'
import { push } from './push/push.ts'
import { weir } from './weir/weir.ts'

test.each([
  ['https://user:word@node.example:8080/v1/SECRET?api-key=SECRET#x', 'https://node.example:8080'],
  ['node.example/SECRET', 'node.example'],
  ['localhost:8899/SECRET', 'localhost:8899'],
  ['127.0.0.1?SECRET', '127.0.0.1'],
  ['user:SECRET@node.example', 'node.example'],
  ['https:SECRET', '…'],
  ['0f9c1e52-7d5b-4e0a-9f5e-2b1f6f1f4c11', '…'],
  ['api-key=SECRET', '…'],
  [new URL('https://node.example/?api-key=SECRET'), 'https://node.example'],
  [undefined, '…'],
])('of %s errors show %s', (url, shown) => {
  expect(withoutSecrets(url)).toBe(shown)
})

test.each([
  ['http', () => http({ name: 'a', url: 'https://a.example/?key=SECRET' })],
  ['weir', () => weir({ name: 'a', url: 'https://a.example/?key=SECRET' })],
  ['http, of what is none', () => http({ name: 'a', url: 'a.example/?key=SECRET' })],
  ['jsonRpc', () => jsonRpc({ name: 'a', url: 'a.example/?key=SECRET' })],
  ['jsonRpc, of a URL', () => jsonRpc({ name: 'a', url: new URL('https://a.example/?key=SECRET') as never })],
  [
    'jsonRpcPush',
    () => jsonRpcPush({ url: 'https://a.example/?key=SECRET', subscribe: () => [''], unsubscribe: 'slotUnsubscribe' }),
  ],
  ['push, of a fragment', () => push({ url: 'wss://a.example/#SECRET', subscribe: () => '', read: () => [] })],
  ['push', () => push({ url: 'https://a.example/?key=SECRET', subscribe: () => '', read: () => [] })],
])('%s tells no key of an address that it refuses', (_, declare) => {
  expect(declare).toThrow(/a\.example/)
  expect(declare).not.toThrow(/SECRET/)
})
