import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import { asWeirError, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'

export interface AttemptParts {
  readonly upstream: string
  readonly emit: Emit
}

/**
 * Tries a request and says what its failure means: answers that are no success become errors of the table.
 * Client errors other than 401, 403 and 429 pass, since their meaning is the caller's to judge.
 */
export function attempt({ upstream, emit }: AttemptParts): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  return (next) => async (request) => {
    try {
      const answer = await next(request)
      const failure = failureOf(upstream, answer)
      if (failure !== undefined) throw failure
      return answer
    } catch (thrown) {
      if (request.signal?.aborted) throw thrown
      const error = asWeirError(thrown)
      emit({ type: 'attempt.failed', upstream, code: error.code, detail: error.message })
      throw thrown
    }
  }
}

function failureOf(upstream: string, { status, body }: UpstreamAnswer): WeirError | undefined {
  const details = { upstreamStatus: status }
  const said = `${upstream}: answered ${status}: ${body.subarray(0, 200).toString().replace(/\s+/g, ' ')}`
  if (status === 429) return new WeirError('upstream_limited', said, { ...details, retryAfter: 1000 })
  if (status === 401 || status === 403) return new WeirError('upstream_refused', said, details)
  if (status >= 500) return new WeirError('upstream_failed', said, details)
  return undefined
}
