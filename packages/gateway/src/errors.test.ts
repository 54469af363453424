import { describe, expect, test } from 'vitest'
import { asWeirError, ERRORS, type ErrorCode, problemOf, show, WeirError } from './errors.ts'

describe('an error of the table', () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])('%s reaches clients as a problem with its own status', (code) => {
    const { status, retry, title } = ERRORS[code]
    expect(problemOf(new WeirError(code, 'what was expected and what came'))).toEqual({
      type: `https://weir.dev/errors#${code}`,
      title,
      status,
      code,
      detail: 'what was expected and what came',
      retry,
    })
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
  })

  test.each([
    [1, 1],
    [1000, 1],
    [1001, 2],
    [59_999, 60],
    [0, 1],
    [-5000, 1],
  ])('that may go better in %i ms says %i seconds: never too early, and whole', (retryAfter, expected) => {
    expect(problemOf(new WeirError('over_budget', 'x', { retryAfter })).retryAfter).toBe(expected)
  })

  test('keeps its cause and does not show it', () => {
    const cause = new Error('secret')
    const error = new WeirError('upstream_failed', 'x', { cause, upstreamStatus: 502 })
    expect(error).toMatchObject({ cause, upstreamStatus: 502, status: 502, retry: true })
    expect(JSON.stringify(problemOf(error))).not.toContain('secret')
  })
})

describe('anything thrown', () => {
  test('with a code is unchanged', () => {
    const error = new WeirError('absent', 'x')
    expect(asWeirError(error)).toBe(error)
  })

  test.each([[new TypeError('secret')], ['secret'], [undefined], [null]])(
    'without a code becomes internal and hides its text',
    (thrown) => {
      const error = asWeirError(thrown)
      expect(error.code).toBe('internal')
      expect(JSON.stringify(problemOf(error))).not.toContain('secret')
    },
  )
})

describe('a value in a message', () => {
  const circular: Record<string, unknown> = {}
  circular.self = circular

  test.each([
    [undefined, 'nothing'],
    [null, 'null'],
    ['a\nb', '"a\\nb"'],
    [{ a: 1 }, '{"a":1}'],
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
    [1n, '[object BigInt]'],
    [circular, '[object Object]'],
  ])('%#: is short and on one line', (value, expected) => {
    expect(show(value)).toBe(expected)
  })

  test('is truncated when it is long', () => {
    expect(show('x'.repeat(500))).toHaveLength(80)
    expect(show('x'.repeat(500))).toMatch(/^"x+\.\.\.$/)
  })
})
