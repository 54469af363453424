import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'

/** Reads the status that an answer should have had. */
export type StatusOf = (answer: UpstreamAnswer) => number

/**
 * Gives answers their true status. Some upstreams answer 200 and say in the body that they refuse; all that stands above, such as
 * budget, breaker and cache, goes by the status.
 */
export function trueStatus(statusOf: StatusOf): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  return (next) => async (request) => {
    const answer = await next(request)
    if (answer.status >= 300 || answer.stream !== undefined) return answer
    try {
      return { ...answer, status: statusOf(answer) }
    } catch {
      // What it can't read says nothing: whoever asked will find that it is no answer.
      return answer
    }
  }
}
