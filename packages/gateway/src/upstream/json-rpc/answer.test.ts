import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { request } from '../../../test/request.ts'
import { resultOf, rpcStatus, slotOf } from './answer.ts'

function answer(body: string, status = 200) {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) }
}

const failed = (code: number, message = 'no', id = '7') =>
  `{"jsonrpc":"2.0","error":{"code":${code},"message":${JSON.stringify(message)}},"id":${id}}`

describe('the true status of an answer', () => {
  test.each([
    ['a result', 200, '{"jsonrpc":"2.0","result":{"error":"none"},"id":7}', 200],
    ['a refusal for coming too soon', 200, failed(429, 'Too many requests for a specific RPC call'), 429],
    ['another form of it', 200, failed(-32429, 'rate limited'), 429],
    ['a third', 200, failed(-32005, 'Rate limit exceeded'), 429],
    ['credits that are gone', 200, failed(-32000, 'max usage reached'), 429],
    ['a node that is behind', 200, failed(-32005, 'Node is behind by 42 slots'), 503],
    ['a node that is unwell', 200, failed(-32005, 'Node is unhealthy'), 503],
    ['a slot that is to come', 200, failed(-32016, 'Minimum context slot has not been reached'), 200],
    ['a failure inside', 200, failed(-32603), 503],
    ['a key that is wrong', 200, failed(-32401), 401],
    ['a plan without it', 200, failed(-32403), 403],
    ['parameters that are wrong', 200, failed(-32602, 'Too many inputs provided; max 100'), 200],
    ['the same as a failure', 500, failed(-32602), 400],
    ['an index that it lacks', 200, failed(-32010), 200],
    ['a transaction that fails, as a failure', 500, failed(-32002, 'Transaction simulation failed'), 400],
    ['a slot that is to come, as a failure', 503, failed(-32016), 400],
    ['a page', 502, '<h1>"error"</h1>', 502],
  ])('%s', (_, status, body, expected) => {
    expect(rpcStatus(answer(body, status))).toBe(expected)
  })
})

describe('the slot of an answer', () => {
  const slot = (method: string, params: string, body: string) =>
    slotOf(request({ body: `{"jsonrpc":"2.0","id":12,"method":"${method}","params":${params}}` }), answer(body))
  const value = '{"jsonrpc":"2.0","result":{"context":{"apiVersion":"2.0.15","slot":341197053},"value":null},"id":7}'

  test.each([
    ['beside a value', 'getBalance', '["a"]', value, { of: 'finalized', at: 341197053 }],
    [
      'of what is confirmed',
      'getBalance',
      '["a",{"commitment":"confirmed"}]',
      value,
      { of: 'confirmed', at: 341197053 },
    ],
    ['that was asked for', 'getSlot', '[]', '{"jsonrpc":"2.0","result":7,"id":1}', { of: 'finalized', at: 7 }],
    [
      'that is not reached',
      'getBalance',
      '["a"]',
      '{"error":{"code":-32016,"data":{"contextSlot":5}},"id":1}',
      { of: 'finalized', at: 5 },
    ],
    ['in no answer to getBlockHeight', 'getBlockHeight', '[]', '{"jsonrpc":"2.0","result":7,"id":1}', undefined],
    ['in no list', 'getProgramAccounts', '["a"]', '{"jsonrpc":"2.0","result":[],"id":1}', undefined],
    ['in no text', 'getBalance', '["a"]', '{"result":"\\"context\\":{\\"slot\\":5}","id":1}', undefined],
    ['in no parameter', 'getVersion', '["\\"method\\":\\"getSlot\\","]', '{"result":7,"id":1}', undefined],
  ])('%s', (_, method, params, body, expected) => {
    expect(slot(method, params, body)).toEqual(expected)
  })
})

describe('the result of a call', () => {
  test('null is a result', () => {
    expect(resultOf('n: m', answer('{"jsonrpc":"2.0","result":null,"id":7}'), 7)).toBeNull()
  })

  test.each([
    ['an id that is missing', '{"result":1}', /expected the answer to call 7, got that to nothing/],
    ['an id that is null', '{"result":1,"id":null}', /got that to null/],
    ['an id of another call', '{"result":1,"id":8}', /got that to 8/],
    ['an id of another type', '{"result":1,"id":"7"}', /got that to "7"/],
    ['an error of another call', failed(-32602, 'no', '8'), /got that to 8/],
    ['neither result nor error', '{"id":7}', /expected a result/],
    ['an error without a code', '{"error":{"message":"x"},"id":7}', /expected a result/],
    ['a list', '[{"result":1,"id":7}]', /expected one answer/],
    ['no JSON', '{"result":', /expected JSON/],
  ])('can not be had of an answer with %s', (_, body, message) => {
    expect(() => resultOf('n: m', answer(body), 7)).toThrow(
      expect.objectContaining({ code: 'upstream_invalid', message: expect.stringMatching(message) }),
    )
  })

  test.each(['7', 'null'])('that is refused with id %s says why, in the words of the upstream', (id) => {
    const said = answer(failed(-32602, 'Invalid param: could not find account', id), 400)
    expect(() => resultOf('n: m', said, 7)).toThrow(
      expect.objectContaining({
        code: 'upstream_refused',
        rpcCode: -32602,
        rpcMessage: 'Invalid param: could not find account',
        upstreamStatus: 400,
        message: 'n: m: answered -32602: Invalid param: could not find account',
      }),
    )
  })

  test('of a status of failure is no result, whatever its body is', () => {
    expect(() => resultOf('n: m', answer('{"result":1,"id":7}', 404), 7)).toThrow(
      expect.objectContaining({ code: 'upstream_failed', upstreamStatus: 404 }),
    )
  })

  test('is that of the one id that was asked, and whole numbers keep all their digits', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(3), fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }), (id, beside, number) => {
        const given = id + beside
        const said = answer(`{"jsonrpc":"2.0","result":{"n":${number}},"id":${given}}`)
        if (beside === 0) {
          const { n } = resultOf('n: m', said, id) as { n: number | bigint }
          expect(String(n)).toBe(String(number))
        } else expect(() => resultOf('n: m', said, id)).toThrow('expected the answer to call')
      }),
    )
  })
})
