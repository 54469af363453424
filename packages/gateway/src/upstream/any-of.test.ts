import { describe, expect, test } from 'vitest'
import { anyOf } from './any-of.ts'
import { http } from './http.ts'

const a = http({ name: 'a', url: 'http://a.test' })
const b = http({ name: 'b', url: 'http://b.test' })
const c = http({ name: 'c', url: 'http://c.test' })

describe('anyOf', () => {
  test('has all of them as providers, in their order, and speaks as the first', () => {
    const any = anyOf('any', [a, b])
    expect(any.name).toBe('any')
    expect(any.providers).toEqual([a, b])
    expect(any.client).toBe(a.client)
    expect(any.policy).toMatchObject({ choose: 'order', hedge: undefined })
  })

  test('of several is all that these have', () => {
    expect(anyOf('all', [anyOf('some', [a, b]), c]).providers).toEqual([a, b, c])
  })

  test('takes how to choose, when to hedge, how often to try again and how far one may be behind', () => {
    const { policy } = anyOf('any', [a, b], { choose: 'score', hedge: '80ms', retries: 4, maxLag: 7 })
    expect(policy).toEqual({ choose: 'score', hedge: 80, retries: 4, maxLag: 7 })
  })

  test.each([
    ['none', () => anyOf('any', []), /expected at least one upstream/],
    [
      'one name twice',
      () => anyOf('any', [a, anyOf('some', [b, a])]),
      /expected upstreams with different names, got "a"/,
    ],
  ])('of %s is refused', (_, declare, message) => {
    expect(declare).toThrow(message)
  })
})
