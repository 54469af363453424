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

/** The error that an answer is: the one that it says, or that it is no answer of Weir. */
export async function problemIn(answer: Response): Promise<ProblemError> {
  const { status, ok, headers } = answer
  const said: Problem | undefined = ok ? undefined : await answer.json().catch(() => {})
  const unknown: Problem = {
    type: '',
    title: `HTTP ${status}`,
    status,
    code: 'unexpected_answer',
    detail: `expected an answer of Weir, got ${headers.get('content-type')}`,
    retry: true,
  }
  return new ProblemError(said?.code ? said : unknown, pauseOf(headers))
}

/** The JSON of an answer. Throws a ProblemError where it is refused, or is none. */
export async function jsonIn<Json>(answer: Response): Promise<Json> {
  if (!answer.ok) throw await problemIn(answer)
  return answer.json().catch(async (thrown) => {
    throw thrown instanceof SyntaxError ? await problemIn(answer) : thrown
  })
}

/** Weir says seconds; what stands before it may say a date, which counts from the date of the answer where that is known. */
function pauseOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const seconds = Number(text)
  const until = Date.parse(text) - (Date.parse(headers.get('date') ?? '') || Date.now())
  const pause = text.trim() === '' || Number.isNaN(seconds) ? until : seconds * 1000
  return pause > 0 ? pause : undefined
}
