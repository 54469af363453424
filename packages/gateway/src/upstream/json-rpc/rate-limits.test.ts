import { expect, test } from 'vitest'
import { readNodeRateLimits } from './rate-limits.ts'

const read = (status: number, headers: Readonly<Record<string, string>>, body: string) =>
  readNodeRateLimits({ status, headers: { 'retry-after': '7', ...headers }, body: Buffer.from(body) }, 0)

const OF_METHOD = '{"error":{"code":429,"message":"Too many requests for a specific RPC call"}}'
const remaining = (method: string | undefined, rps: string | undefined) => ({
  ...(method === undefined ? {} : { 'x-ratelimit-method-remaining': method }),
  ...(rps === undefined ? {} : { 'x-ratelimit-rps-remaining': rps }),
})

test.each([
  ['nothing left of the method', remaining('-1', '50'), '', true],
  ['the same, and nothing said of all calls', remaining('0', undefined), '', true],
  ['the words of public nodes', {}, OF_METHOD, true],
  ['these words, where nothing of all calls is left', remaining('-1', '-2'), OF_METHOD, false],
  ['these words, and something left of both', remaining('9', '90'), OF_METHOD, true],
  ['other words, and something left of both', remaining('9', '90'), 'rate limited', false],
  ['no words', {}, '', false],
])('a refusal with %s', (_, headers, body, ofLane) => {
  expect(read(429, headers, body)).toMatchObject({ pause: 7000, ofLane })
  expect(read(200, headers, body).ofLane).toBe(false)
})

test('a key that is used up is no call that came too soon', () => {
  const refused = read(429, {}, '{"error":{"code":-32429,"message":"max usage reached"}}')
  expect([refused.exhausted, refused.pause]).toEqual([true, undefined])
  expect(read(200, {}, '{"help":"max usage reached"}').exhausted).toBe(false)
})
