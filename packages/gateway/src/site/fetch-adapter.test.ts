import { expect, test } from 'vitest'
import { call } from '../../test/call.ts'
import type { WholeAnswer } from '../call.ts'
import { own } from './fetch-adapter.ts'

const echo = {
  fetch: async (request: Request) =>
    new Response(`${request.method} ${request.url} ${request.headers.get('x-a')}`, {
      status: 201,
      headers: [
        ['x-b', 'c'],
        ['set-cookie', 'd=1'],
        ['set-cookie', 'e=2'],
      ],
    }),
}

test('an app gets the call as a Request, and its Response is the answer', async () => {
  const answer = (await own(echo, call('/a?b=c', { headers: { host: 'weir.test', 'x-a': 'x' } }))) as WholeAnswer
  expect(answer).toMatchObject({ status: 201, headers: { 'x-b': 'c', 'set-cookie': ['d=1', 'e=2'] } })
  expect(await new Response(answer.body as ReadableStream).text()).toBe('GET http://weir.test/a?b=c x')
})

test.each([
  ['a host that is none', { headers: { host: 'a b' } }, 'bad_request'],
  ['a method that no Request can have', { method: 'TRACE' }, 'method_not_allowed'],
])('%s is refused, and is no fault of ours', async (_, given, code) => {
  await expect(own(echo, call('/a', given))).rejects.toMatchObject({ code })
})
