/** The result of a test run. */
export interface Outcome {
  readonly passed: number
  readonly failed: number
}

/**
 * Counts the results in Vitest's JSON report. A file that failed to load contains no tests and counts as one failure. So does a run
 * that failed without a reported reason, such as an error after the last test.
 */
export function readOutcome(report: unknown, exitCode: number): Outcome {
  let passed = 0
  let failed = 0
  for (const file of listIn(report, 'testResults')) {
    const statuses = listIn(file, 'assertionResults').map((test) => fieldOf(test, 'status'))
    const failures = statuses.filter((status) => status === 'failed').length
    passed += statuses.filter((status) => status === 'passed').length
    failed += failures === 0 && fieldOf(file, 'status') === 'failed' ? 1 : failures
  }
  return { passed, failed: failed === 0 && exitCode !== 0 ? 1 : failed }
}

function listIn(value: unknown, name: string): readonly unknown[] {
  const list = fieldOf(value, name)
  return Array.isArray(list) ? list : []
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined
}
