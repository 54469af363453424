import type { Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { RateLimitReader, RateLimitSignal } from '../rate-limit-signal.ts'
import type { Estimate } from './estimate.ts'
import type { Gates } from './gates.ts'
import type { Start, Started } from './start.ts'

export interface StageParts {
  readonly upstream: string
  readonly clock: Clock
  readonly keys: readonly string[]
  readonly rateLimits: RateLimitReader
  readonly gates: Gates
  readonly estimate: Estimate
  readonly enter: (start: Start) => Promise<Started>
  /** Milliseconds until a call that comes now would start. */
  readonly expectedWait: (start: Start) => number
}

/** Request in, when it may start. Answer out, with what it says of the limits applied. */
export function budgetStage(parts: StageParts): Stage<UpstreamRequest, Promise<UpstreamAnswer>> {
  const { clock, keys, rateLimits, gates, estimate, enter } = parts
  return (next) => async (request) => {
    const start = startOf(request)
    const started = await enter(start)
    const left = request.deadline - clock.monotonic()
    let answer: UpstreamAnswer | undefined
    try {
      answer = await next({ ...request, apiKey: keys[started.key], ...(started.alone && { alone: true }) })
      const signal = rateLimits(answer, clock.now())
      started.apply(signal)
      const otherKey = isOfItsKey(answer, signal) && gates.hasOpenKey
      return { ...answer, ...restOf(signal), ...(otherKey ? { otherKey } : {}) }
    } catch (thrown) {
      throw isTimeout(thrown) && left < estimate.answerTime ? startedTooLate(parts, start, left) : thrown
    } finally {
      const cost = answer === undefined ? undefined : request.costOf?.(answer)
      const end = () => started.end({ arrived: answer !== undefined, ...(cost === undefined ? {} : { cost }) })
      // A stream holds its connection, and so its places, until its last byte.
      if (answer?.stream === undefined) end()
      else void answer.stream.over.then(end)
    }
  }
}

function startOf({ priority, client, cost, lane, deadline, signal, urgency, history }: UpstreamRequest): Start {
  return {
    priority: urgency?.priority ?? priority,
    client,
    cost,
    deadline,
    signal,
    ...(lane === undefined ? {} : { lane }),
    ...(history === undefined ? {} : { history }),
    ...(urgency === undefined ? {} : { onRaise: (listener) => urgency.onRaise(listener) }),
  }
}

/** A call that had less time than answers take timed out because of its late start: that is no fault of the upstream. */
function startedTooLate({ upstream, estimate, expectedWait }: StageParts, start: Start, left: number): WeirError {
  const needed = Math.round(estimate.answerTime)
  const detail = `${upstream}: expected to start ${needed} ms before the deadline, got ${Math.round(left)} ms`
  return new WeirError('over_budget', detail, { retryAfter: Math.max(1000, expectedWait(start)) })
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof WeirError && thrown.code === 'upstream_timeout'
}

/** Whether a call was refused for the key it came with, and not for what it was: it was not carried out. */
function isOfItsKey({ status }: UpstreamAnswer, { exhausted, pause, ofLane }: RateLimitSignal): boolean {
  return status < 500 && (exhausted === true || (pause !== undefined && !ofLane))
}

/** How long an answer asks to wait, as the stages above the budget read it. */
function restOf({ pause, retryAfter }: RateLimitSignal): Pick<UpstreamAnswer, 'rest' | 'ofOperation'> {
  if (pause !== undefined) return { rest: pause }
  return retryAfter === undefined ? {} : { rest: retryAfter, ofOperation: true }
}
