import { expect, test } from 'vitest'
import { readApiRateLimits } from './rate-limits.ts'

const read = (status: number, body: string) =>
  readApiRateLimits({ status, headers: { 'retry-after': '7' }, body: Buffer.from(body) }, 0)

test.each([
  [429, '{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}'],
  [403, '{"code":"team_spend_limit_reached"}'],
  [402, '{"code":"insufficient_quota"}'],
])('%i with %s is a key that is used up, which no pause helps', (status, body) => {
  const { exhausted, pause, retryAfter } = read(status, body)
  expect([exhausted, pause, retryAfter]).toEqual([true, undefined, undefined])
})

test('any other refusal is a pause, and a success that quotes such a code is none', () => {
  expect(read(429, '{"error":{"code":"rate_limit_exceeded"}}')).toMatchObject({ exhausted: false, pause: 7000 })
  expect(read(200, '{"help":"insufficient_quota"}').exhausted).toBe(false)
})
