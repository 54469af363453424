import { expect, test } from 'vitest'
import { createRetryBudget, type RetryBudget } from './retry-budget.ts'

/** The number of retries granted to this many clients in turn. */
function granted(budget: RetryBudget, times: number, clients: number): number {
  return Array.from({ length: times }, (_, index) => budget.take(`c${index % clients}`)).filter(Boolean).length
}

test('ten retries are available at the start', () => {
  expect(granted(createRetryBudget(), 12, 6)).toBe(10)
})

test('retries are a tenth of the traffic over a long run', () => {
  const budget = createRetryBudget()
  let retries = 0
  for (let i = 0; i < 10_000; i++) {
    budget.tried('c')
    if (budget.take('c')) retries += 1
  }
  expect(retries).toBeGreaterThan(990)
  expect(retries).toBeLessThanOrEqual(1010)
})

test('a quiet day saves up ten retries, not more', () => {
  const budget = createRetryBudget()
  for (let i = 0; i < 10_000; i++) budget.tried('c')
  expect(granted(budget, 100, 10)).toBe(10)
})

test("a client whose calls all fail takes a tenth of its own traffic, and none of the others' retries", () => {
  const budget = createRetryBudget()
  let taken = 0
  for (let i = 0; i < 1000; i++) {
    budget.tried('bad')
    if (budget.take('bad')) taken += 1
  }
  expect(taken).toBeLessThanOrEqual(104)
  expect([budget.take('good'), budget.take('good'), budget.take('good')]).toEqual([true, true, true])
})
