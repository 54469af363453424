import { describe, expect, test } from 'vitest'
import { readOutcome } from './outcome.ts'

const file = (status: string, ...tests: readonly string[]) => ({
  status,
  assertionResults: tests.map((one) => ({ status: one })),
})

describe('the outcome of a run', () => {
  test('counts passed and failed tests, and ignores skipped ones', () => {
    const report = { testResults: [file('failed', 'passed', 'failed', 'failed'), file('passed', 'passed', 'skipped')] }
    expect(readOutcome(report, 1)).toEqual({ passed: 2, failed: 2 })
  })

  test('a file that failed to load is one failure', () => {
    const report = { testResults: [file('failed'), file('passed', 'passed')] }
    expect(readOutcome(report, 1)).toEqual({ passed: 1, failed: 1 })
  })

  test('a failed run without a reported reason is one failure, even without a report', () => {
    expect(readOutcome({ testResults: [file('passed', 'passed')] }, 1)).toEqual({ passed: 1, failed: 1 })
    expect(readOutcome(undefined, 1)).toEqual({ passed: 0, failed: 1 })
  })

  test('a successful run has no failures', () => {
    expect(readOutcome({ testResults: [file('passed', 'passed', 'passed')] }, 0)).toEqual({ passed: 2, failed: 0 })
  })
})
