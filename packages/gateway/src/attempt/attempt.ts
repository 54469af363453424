import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asWeirError, type ErrorCode, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createAnswerable } from './answerable.ts'
import { type Asked, type Call, createProvider, type Provider } from './provider.ts'
import { operationOf, requestKey } from './request-key.ts'
import { createRetryBudget } from './retry-budget.ts'
import { createSyncLag } from './sync-lag.ts'

export interface AttemptParts {
  readonly upstream: string
  /** Who can answer: by name, with the path to each, below which its own budget is charged. */
  readonly providers: readonly {
    readonly name: string
    readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
    /** How old what it answers is, in milliseconds; by its `Age` header when it is not said. */
    readonly lag?: (answer: UpstreamAnswer) => number
    /** Whether it is asked with a key of ours, so that 401 and 403 are of that. */
    readonly keyed?: boolean
  }[]
  readonly policy: AttemptPolicy
  readonly clock: Clock
  readonly emit: Emit
  /** From 0 to 1; spreads retries. */
  readonly random?: () => number
}

export interface AttemptPolicy {
  /** How often a call may be tried again, beside going on to another provider. */
  readonly retries: number
  /** Milliseconds after which a second provider is asked beside the first; undefined: never. */
  readonly hedge: number | undefined
  /** In the order they are named, or the one that did best of late. */
  readonly choose: 'order' | 'score'
  /** How far, in what they count, one may be behind the best of them and still be asked as any other. Undefined: they are not compared. */
  readonly maxLag?: number
}

/** The first pause before a retry, and the longest, in milliseconds; each is a random part of it. */
const PAUSE = 100
const LONGEST_PAUSE = 5000

/** A provider that may be asked, and the call that it may be asked with. */
interface Chosen {
  readonly provider: Provider
  readonly call: Call
}

/** An answer, and by how much whoever gave it was behind the best. */
interface Answered {
  readonly answer: UpstreamAnswer
  readonly behind: number
}

/** One round of a request: who was asked, and the answers that are better than none. */
interface Round {
  readonly key: string
  readonly asked: Set<Provider>
  /** Where this request failed a short while ago: they are asked only when there is no other. */
  readonly failing: ReadonlySet<Provider>
  /** Calls that failed, perhaps for what was asked: an answer of another provider will say. */
  readonly unjudged: Set<(elsewhere: boolean) => void>
  /** The best of those who are too far behind. */
  nearest: Answered | undefined
  /** What one refused that another might answer. */
  refused: UpstreamAnswer | undefined
}

/** How long to wait after a 429 that nobody has read more out of, in milliseconds. */
const REST = 1000

/** What says nothing against the provider, and may still go better elsewhere. */
const PASSING: readonly ErrorCode[] = ['upstream_limited', 'over_budget', 'upstream_quota_exhausted']

/** What says that the provider is unwell, unless the request itself made it so. */
const UNWELL: readonly ErrorCode[] = ['upstream_failed', 'upstream_timeout']

/** What only another provider may do better. */
const ELSEWHERE: readonly ErrorCode[] = [...PASSING, 'upstream_invalid', 'upstream_refused']

/**
 * Tries a request: with which provider, how often, until when, and what its failure means. This is the only place that
 * retries. Answers that are no success become errors of the table; client errors other than refusals pass, since
 * their meaning is the caller's to judge. Every try is charged to the provider it goes to. A request that failed is not tried again, and not
 * everywhere, until it had time to recover: its failure is its caller's answer.
 */
export function attempt(parts: AttemptParts): Next<UpstreamRequest, Promise<UpstreamAnswer>> {
  const { upstream, policy, clock, emit, random = Math.random } = parts
  const { maxLag = Number.POSITIVE_INFINITY } = policy
  const providers = parts.providers.map(({ name, send, keyed = false }) => createProvider({ name, send, keyed, clock }))
  const lags = new Map(parts.providers.map(({ name, lag }) => [name, lag ?? ageOf]))
  const answerable = createAnswerable(clock)
  const retries = createRetryBudget()
  const heights = createSyncLag<Provider>(clock)

  /** The providers that may be asked, the best first; those where it fails, and then those that are too far behind, last. */
  function ranked({ failing }: Round): readonly Provider[] {
    const late = (provider: Provider) => (heights.behind(provider) > maxLag ? heights.behind(provider) : 0)
    const fails = (provider: Provider) => Number(failing.has(provider))
    const best = ({ score }: Provider) => (policy.choose === 'order' ? 0 : score)
    return [...providers].sort((a, b) => late(a) - late(b) || fails(a) - fails(b) || best(a) - best(b))
  }

  function askedOf(request: UpstreamRequest, key: string): Asked {
    return { key, operation: operationOf(request), client: request.client, answerable: answerable.has(key) }
  }

  /** The next that may be asked and was not. Why others were passed over is told. */
  function choose(request: UpstreamRequest, round: Round): Chosen | undefined {
    const { asked, failing, key } = round
    for (const provider of ranked(round)) {
      if (asked.has(provider) || (asked.size > 0 && failing.has(provider))) continue
      const of = askedOf(request, key)
      const call = provider.enter(of)
      if (call !== undefined) {
        asked.add(provider)
        if (providers.length > 1) emit({ type: 'attempt.chosen', upstream, provider: provider.name, by: policy.choose })
        return { provider, call }
      }
      const { reason } = provider.closed(of)
      emit({ type: 'attempt.skipped', upstream, provider: provider.name, reason })
    }
    return undefined
  }

  async function exchange({ provider, call }: Chosen, given: UpstreamRequest, round: Round): Promise<Answered> {
    const reached = heights.begin()
    const request = { ...given, history: { key: round.key, answerable: answerable.has(round.key) } }
    try {
      let answer = await provider.send(request)
      // What was not carried out may be sent again, whatever it is. The budget gives it the other key.
      const otherKey = answer.otherKey === true && policy.retries > 0 && retries.take(request.client)
      if (otherKey || answer.unsent === true) {
        emit({ type: 'attempt.retried', upstream, after: 0 })
        answer = await provider.send(answer.unsent === true ? { ...request, alone: true } : request)
      }
      const behind = answer.height === undefined ? 0 : reached(provider, answer.height)
      if (answer.height !== undefined) lookAround(request)
      const failure = failureOf(provider.name, answer)
      if (failure !== undefined) {
        const { status, rest, ofOperation = status >= 500 } = answer
        if (rest !== undefined && ofOperation) call.pause(rest, status < 500)
        throw request.passes?.(answer.status) ? new Passing(failure, answer) : failure
      }
      await request.check?.(answer)
      if (answer.elsewhere === true) call.refused()
      else if (request.failed?.(answer)) call.left()
      else {
        call.succeeded()
        if (answer.status < 400) {
          answerable.add(round.key)
          for (const judge of round.unjudged) judge(true)
          round.unjudged.clear()
        }
      }
      call.lagged(Math.max(0, lags.get(provider.name)?.(answer) ?? 0))
      return { answer, behind }
    } catch (thrown) {
      if (request.signal?.aborted) {
        call.left()
        throw thrown
      }
      const error = asWeirError(thrown)
      judge(provider, call, error, round)
      const { code, message: detail, cause, requestId } = error
      emit({
        ...{ type: 'attempt.failed', upstream: provider.name, code, detail },
        ...(cause === undefined ? {} : { cause, requestId }),
      })
      throw thrown
    }
  }

  /** What a failure says of the provider; where another may show whose fault it is, that is left open. */
  function judge({ keyed }: Provider, call: Call, error: WeirError, { key, unjudged }: Round): void {
    const many = providers.length > 1
    if (error.unreachable) call.failed('unreachable', false)
    else if (UNWELL.includes(error.code)) {
      if (!many || answerable.has(key)) call.failed('failed', false)
      else unjudged.add((elsewhere) => call.failed('failed', elsewhere))
    } else if (many && (error.code === 'upstream_invalid' || (error.code === 'upstream_refused' && keyed)))
      unjudged.add((elsewhere) => (elsewhere ? call.failed('failed', true) : call.refused()))
    else call.left()
  }

  /** The answer of one that is not too far behind. */
  async function ask(chosen: Chosen, request: UpstreamRequest, round: Round): Promise<UpstreamAnswer> {
    const answered = await exchange(chosen, request, round)
    const { answer, behind } = answered
    if (!isRepeatable(request)) return answer
    const { name } = chosen.provider
    if (answer.elsewhere === true && providers.length > 1) {
      round.refused ??= answer
      throw new WeirError('upstream_failed', `${name}: it refused what another may answer`)
    }
    if (behind <= maxLag) return answer
    emit({ type: 'attempt.skipped', upstream, provider: name, reason: `it is ${behind} behind` })
    if (behind < (round.nearest?.behind ?? Number.POSITIVE_INFINITY)) round.nearest = answered
    throw new WeirError('upstream_failed', `${name}: it is ${behind} behind`)
  }

  /**
   * Asks those the same of which nothing was heard for a while, and lets the answer go: nobody is known to be behind as long as only he is
   * asked, nor to have caught up while he is not. When nothing is asked, nobody needs to know.
   */
  function lookAround({ urgency: _urgency, ...request }: UpstreamRequest): void {
    if (maxLag === Number.POSITIVE_INFINITY || !isRepeatable(request)) return
    const key = requestKey(request)
    for (const provider of providers) {
      const call = heights.isDue(provider) ? provider.enter(askedOf(request, key)) : undefined
      if (call === undefined) continue
      const round = newRound(key)
      exchange({ provider, call }, { ...request, priority: 'background', signal: undefined }, round)
        .catch(() => {
          // Told by then, as any failure is.
        })
        .finally(() => settle(round))
    }
  }

  function newRound(key: string, failing: ReadonlySet<Provider> = NONE): Round {
    return { key, asked: new Set(), failing, unjudged: new Set(), nearest: undefined, refused: undefined }
  }

  /** No provider answered it: its failures say little. */
  function settle({ unjudged }: Round): void {
    for (const judge of unjudged) judge(false)
    unjudged.clear()
  }

  /** Asks one, and beside it a second when the first is slow. The first answer wins, and the other call is aborted. */
  async function askHedged(first: Chosen, request: UpstreamRequest, round: Round): Promise<UpstreamAnswer> {
    const { hedge } = policy
    if (hedge === undefined || !isRepeatable(request)) return ask(first, request, round)
    const controllers = [new AbortController(), new AbortController()] as const
    const gone = () => {
      for (const controller of controllers) controller.abort(request.signal?.reason)
    }
    if (request.signal?.aborted) gone()
    request.signal?.addEventListener('abort', gone, { once: true })
    const { promise: second, resolve: settleSecond } = Promise.withResolvers<UpstreamAnswer>()
    let hedged = false
    const timer = clock.after(hedge, () => {
      const other = choose(request, round)
      if (other === undefined) return
      hedged = true
      emit({ type: 'attempt.hedged', upstream, provider: other.provider.name })
      settleSecond(ask(other, { ...request, signal: controllers[1].signal }, round))
    })
    try {
      const main = ask(first, { ...request, signal: controllers[0].signal }, round)
      // A first that fails before the hedge began is a failure; once both are under way the last one's failure is.
      return await Promise.race([
        main.catch((error) => (hedged ? second : Promise.reject(error))),
        second.catch(() => main),
      ])
    } finally {
      timer.stop()
      request.signal?.removeEventListener('abort', gone)
      for (const controller of controllers) controller.abort()
    }
  }

  return async (request) => {
    retries.tried(request.client)
    const key = requestKey(request)
    const failing = new Set(providers.filter((provider) => provider.isFailing(key)))
    for (let rounds = 0; ; rounds++) {
      const round = newRound(key, failing)
      let failure: WeirError | undefined
      try {
        // Another provider is asked at once: it has a budget of its own.
        for (let chosen = choose(request, round); chosen !== undefined; chosen = choose(request, round)) {
          try {
            return await askHedged(chosen, request, round)
          } catch (thrown) {
            failure = asWeirError(thrown)
            if (request.signal?.aborted) throw thrown
            if (!isRepeatable(request) || !mayGoBetter(failure, chosen.provider))
              return round.nearest?.answer ?? handOver(thrown)
          }
        }
      } finally {
        settle(round)
      }
      // One of an honest age is better than none, and so is a refusal in the upstream's own words.
      const { nearest, refused } = round
      if (nearest !== undefined) return nearest.answer
      if (refused !== undefined) return refused
      if (failure === undefined) throw allOpen(askedOf(request, key))
      const pause = random() * Math.min(LONGEST_PAUSE, PAUSE * 2 ** rounds)
      const late = clock.monotonic() + pause >= request.deadline
      const known = failing.size > 0 || ELSEWHERE.includes(failure.code) || isToRest(failure)
      if (rounds >= policy.retries || known || late || !retries.take(request.client)) return handOver(failure)
      emit({ type: 'attempt.retried', upstream, after: pause })
      await sleep(clock, pause, request.signal)
    }
  }

  function mayGoBetter({ code }: WeirError, { keyed }: Provider): boolean {
    return code === 'upstream_refused' ? keyed : UNWELL.includes(code) || ELSEWHERE.includes(code)
  }

  function allOpen(asked: Asked): WeirError {
    const [next] = providers.map((provider) => provider.closed(asked)).sort((a, b) => a.wait - b.wait)
    const why = next?.paused ? 'it asked to wait' : 'it failed so often that it is left alone for a while'
    const retryAfter = Math.max(1, next?.wait ?? 0)
    return new WeirError('upstream_failed', `${upstream}: ${why}`, { retryAfter, unreachable: true })
  }
}

const NONE: ReadonlySet<Provider> = new Set()

/** Whether the upstream said when to come back. */
function isToRest({ retryAfter }: WeirError): boolean {
  return retryAfter !== undefined
}

/** A failure that whoever asked wants to see as it came. */
class Passing extends WeirError {
  readonly answer: UpstreamAnswer

  constructor({ code, message, retryAfter, upstreamStatus }: WeirError, answer: UpstreamAnswer) {
    super(code, message, {
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
    })
    this.answer = answer
  }
}

/** What becomes of a failure when no other try is left. */
function handOver(failure: unknown): UpstreamAnswer {
  if (failure instanceof Passing) return failure.answer
  throw failure
}

/** Whether a request may be sent twice: reads, and what its sender calls repeatable. */
function isRepeatable({ method, repeatable }: UpstreamRequest): boolean {
  return repeatable ?? (method === 'GET' || method === 'HEAD')
}

function sleep(clock: Clock, duration: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(duration, () => {
      signal?.removeEventListener('abort', left)
      resolve()
    })
    const left = () => {
      timer.stop()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', left, { once: true })
  })
}

/** Milliseconds by the `Age` header (RFC 9111, 5.1), 0 without one. */
function ageOf({ headers }: UpstreamAnswer): number {
  return /^\d+$/.test(headers.age ?? '') ? Number(headers.age) * 1000 : 0
}

function failureOf(provider: string, { status, body, rest }: UpstreamAnswer): WeirError | undefined {
  const details = { upstreamStatus: status, ...(rest === undefined ? {} : { retryAfter: rest }) }
  const said = `${provider}: answered ${status}: ${body.subarray(0, 200).toString().replace(/\s+/g, ' ')}`
  if (status === 429) return new WeirError('upstream_limited', said, { ...details, retryAfter: rest ?? REST })
  if (status >= 500) return new WeirError('upstream_failed', said, details)
  // Some refuse with another status who comes too often, and say for how long.
  if (status >= 400 && rest !== undefined) return new WeirError('upstream_limited', said, details)
  if (status === 401 || status === 403) return new WeirError('upstream_refused', said, details)
  return undefined
}
