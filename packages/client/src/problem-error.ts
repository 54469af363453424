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
  return new ProblemError(await answer.json().catch(() => unknown), pauseOf(answer.headers))
}

/** Weir says seconds; what stands before it may say a date, which counts from the date of the answer where that is known. */
function pauseOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const seconds = Number(text)
  const until = Date.parse(text) - (Date.parse(headers.get('date') ?? '') || Date.now())
  const pause = text.trim() === '' || Number.isNaN(seconds) ? until : seconds * 1000
  return pause > 0 ? pause : undefined
}
