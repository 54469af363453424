import { expect, test } from 'vitest'
import { createRetryBudget } from './retry-budget.ts'

test('ten retries are there at the start, and no more', () => {
  const budget = createRetryBudget()
  expect(Array.from({ length: 12 }, () => budget.take()).filter(Boolean)).toHaveLength(10)
})

test('over a long run retries are a tenth of the traffic', () => {
  const budget = createRetryBudget()
  let retries = 0
  for (let i = 0; i < 10_000; i++) {
    budget.tried()
    if (budget.take()) retries += 1
  }
  expect(retries).toBeGreaterThan(990)
  expect(retries).toBeLessThanOrEqual(1010)
})

test('a quiet day saves up ten, not more', () => {
  const budget = createRetryBudget()
  for (let i = 0; i < 10_000; i++) budget.tried()
  expect(Array.from({ length: 100 }, () => budget.take()).filter(Boolean)).toHaveLength(10)
})
