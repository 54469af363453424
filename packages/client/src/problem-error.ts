import type { Problem } from '@weir/protocol'

/**
 * A request that the server refused or could not answer. `problem.code` names the reason, `problem.retry` whether a
 * retry may help.
 */
export class ProblemError extends Error {
  readonly problem: Problem
  /** How long the server asks to wait, in milliseconds. */
  readonly pause: number | undefined

  constructor(problem: Problem, pause?: number) {
    super(`${problem.title}: ${problem.detail}`)
    this.problem = problem
    this.pause = pause
  }
}

/** Reads the error of an answer; if it is no answer of Weir, an error that says so. */
export async function readProblem(answer: Response): Promise<ProblemError> {
  const { status, ok, headers } = answer
  const problem: Problem | undefined = ok ? undefined : await answer.json().catch(() => {})
  const unknown: Problem = {
    type: '',
    title: `HTTP ${status}`,
    status,
    code: 'unexpected_answer',
    detail: `expected an answer of Weir, got ${headers.get('content-type')}`,
    retry: true,
  }
  return new ProblemError(problem?.code ? problem : unknown, retryAfterOf(headers))
}

/**
 * Reads the JSON of an answer.
 *
 * @throws ProblemError if the answer is an error or is not JSON
 */
export async function readJson<Json>(answer: Response): Promise<Json> {
  if (!answer.ok) throw await readProblem(answer)
  return answer.json().catch(async (thrown) => {
    throw thrown instanceof SyntaxError ? await readProblem(answer) : thrown
  })
}

/** Weir sends seconds. A proxy may send a date, which counts from the answer's own `Date` if there is one. */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const seconds = Number(text)
  const until = Date.parse(text) - (Date.parse(headers.get('date') ?? '') || Date.now())
  const pause = text.trim() === '' || Number.isNaN(seconds) ? until : seconds * 1000
  return pause > 0 ? pause : undefined
}
