import { describe, expect, test } from 'vitest'
import { readOutcome } from './outcome.ts'

const file = (status: string, ...tests: readonly string[]) => ({
  status,
  assertionResults: tests.map((one) => ({ status: one })),
})

describe('the outcome of a run', () => {
  test('counts what passed and what failed, and leaves out what was skipped', () => {
    const report = { testResults: [file('failed', 'passed', 'failed', 'failed'), file('passed', 'passed', 'skipped')] }
    expect(readOutcome(report, 1)).toEqual({ passed: 2, failed: 2 })
  })

  test('a file that could not load is one failure', () => {
    const report = { testResults: [file('failed'), file('passed', 'passed')] }
    expect(readOutcome(report, 1)).toEqual({ passed: 1, failed: 1 })
  })

  test('a run that failed for no reason it names is one failure, without a report too', () => {
    expect(readOutcome({ testResults: [file('passed', 'passed')] }, 1)).toEqual({ passed: 1, failed: 1 })
    expect(readOutcome(undefined, 1)).toEqual({ passed: 0, failed: 1 })
  })

  test('all well is no failure', () => {
    expect(readOutcome({ testResults: [file('passed', 'passed', 'passed')] }, 0)).toEqual({ passed: 2, failed: 0 })
  })
})
