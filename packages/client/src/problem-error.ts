import type { Problem } from '@weir/protocol'

/** What a server refused or could not do. `problem.code` says what, `problem.retry` whether asking again may help. */
export class ProblemError extends Error {
  readonly problem: Problem
  /** What the server wants to be waited for, in milliseconds. */
  readonly pause: number | undefined

  constructor(problem: Problem, pause?: number) {
    super(`${problem.title}: ${problem.detail}`)
    this.problem = problem
    this.pause = pause
  }
}

/** The error that an answer is. */
export async function problemIn(answer: Response): Promise<ProblemError> {
  const unknown = { title: `HTTP ${answer.status}`, detail: '', status: answer.status }
  // Dates are not read: Weir says seconds.
  const pause = Number(answer.headers.get('retry-after')) * 1000 || undefined
  return new ProblemError(await answer.json().catch(() => unknown), pause)
}
