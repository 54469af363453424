import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { asWeirError, type ErrorCode, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { createAnswerable } from './answerable.ts'
import { type Call, createProvider, type Provider, type RequestFacts } from './provider.ts'
import { operationOf, requestKey } from './request-key.ts'
import { createRetryBudget } from './retry-budget.ts'
import { createSyncLag } from './sync-lag.ts'

export interface AttemptParts {
  readonly upstream: string
  /** The providers: name, and the path to each. Each path charges the provider's own budget. */
  readonly providers: readonly {
    readonly name: string
    readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
    /** The age of an answer in milliseconds; by default its `Age` header. */
    readonly lag?: (answer: UpstreamAnswer) => number
    /** Whether calls carry an API key of the gateway, so that 401 and 403 concern that key. */
    readonly keyed?: boolean
  }[]
  readonly policy: AttemptPolicy
  readonly clock: Clock
  readonly emit: Emit
  /** A random number from 0 to 1, to spread retries. */
  readonly random?: () => number
}

export interface AttemptPolicy {
  /** Retries of a call, not counting other providers. */
  readonly retries: number
  /** Milliseconds after which a second provider is called too; undefined: never. */
  readonly hedge: number | undefined
  /** `order`: as declared. `score`: the best recently. */
  readonly choose: 'order' | 'score'
  /**
   * How far a provider may lag behind the best and still be preferred equally, in the unit of its heights. Undefined:
   * heights are not compared.
   */
  readonly maxLag?: number
}

/** The first and the longest pause before a retry, in milliseconds. The actual pause is a random part of it. */
const PAUSE = 100
const LONGEST_PAUSE = 5000

/** A chosen provider, and permission for one call to it. */
interface Chosen {
  readonly provider: Provider
  readonly call: Call
}

/** An answer, and how far its provider lags behind the best. */
interface Answered {
  readonly answer: UpstreamAnswer
  readonly behind: number
}

/** One round of a request: the providers tried, and answers to fall back on. */
interface Round {
  readonly key: string
  readonly tried: Set<Provider>
  /** Providers where this request failed recently. They are called only if there is no other. */
  readonly failing: ReadonlySet<Provider>
  /** Failed calls whose cause is open. An answer from another provider shows that the request was not the cause. */
  readonly undecided: Set<(elsewhere: boolean) => void>
  /** The best answer among providers that lag too far behind. */
  nearest: Answered | undefined
  /** A refusal that another provider might not share. */
  refused: UpstreamAnswer | undefined
}

/** How long to wait after a 429 without a stated wait, in milliseconds. */
const DEFAULT_WAIT = 1000

/** Errors that do not count against the provider, where another provider may still succeed. */
const NEUTRAL: readonly ErrorCode[] = ['upstream_limited', 'over_budget', 'upstream_quota_exhausted']

/** Errors that count against the provider, unless the request caused them. */
const PROVIDER_FAILURES: readonly ErrorCode[] = ['upstream_failed', 'upstream_timeout']

/** Errors that only another provider can avoid. */
const OTHER_PROVIDER: readonly ErrorCode[] = [...NEUTRAL, 'upstream_invalid', 'upstream_refused']

/**
 * Sends a request: picks a provider, retries, hedges, and interprets failures. This is the only place that retries.
 * Failure statuses become errors of the table. Client errors other than refusals are returned, since only the caller
 * can interpret them. Every try is charged to its provider. A request that failed is not retried until it had time to
 * recover, and not sent to every provider: its failure is its caller's answer.
 */
export function attempt(parts: AttemptParts): Next<UpstreamRequest, Promise<UpstreamAnswer>> {
  const { upstream, policy, clock, emit, random = Math.random } = parts
  const { maxLag = Number.POSITIVE_INFINITY } = policy
  const providers = parts.providers.map(({ name, send, keyed = false }) => createProvider({ name, send, keyed, clock }))
  const lags = new Map(parts.providers.map(({ name, lag }) => [name, lag ?? ageOf]))
  const answerable = createAnswerable(clock)
  const retries = createRetryBudget()
  const syncLag = createSyncLag<Provider>(clock)

  /** The providers, best first. Those where the request fails come later, those that lag too far behind last. */
  function ranked({ failing }: Round): readonly Provider[] {
    const late = (provider: Provider) => (syncLag.behind(provider) > maxLag ? syncLag.behind(provider) : 0)
    const fails = (provider: Provider) => Number(failing.has(provider))
    const best = ({ score }: Provider) => (policy.choose === 'order' ? 0 : score)
    return [...providers].sort((a, b) => late(a) - late(b) || fails(a) - fails(b) || best(a) - best(b))
  }

  function factsOf(request: UpstreamRequest, key: string): RequestFacts {
    return { key, operation: operationOf(request), client: request.client, answerable: answerable.has(key) }
  }

  /** Chooses the next untried provider that accepts the call, and emits why others were skipped. */
  function choose(request: UpstreamRequest, round: Round): Chosen | undefined {
    const { tried, failing, key } = round
    for (const provider of ranked(round)) {
      if (tried.has(provider) || (tried.size > 0 && failing.has(provider))) continue
      const facts = factsOf(request, key)
      const call = provider.enter(facts)
      if (call !== undefined) {
        tried.add(provider)
        if (providers.length > 1) emit({ type: 'attempt.chosen', upstream, provider: provider.name, by: policy.choose })
        return { provider, call }
      }
      const { reason } = provider.closed(facts)
      emit({ type: 'attempt.skipped', upstream, provider: provider.name, reason })
    }
    return undefined
  }

  async function exchange({ provider, call }: Chosen, given: UpstreamRequest, round: Round): Promise<Answered> {
    const reached = syncLag.begin()
    const request = { ...given, history: { key: round.key, answerable: answerable.has(round.key) } }
    try {
      let answer = await provider.send(request)
      // A call that was not carried out may be sent again, whatever it is. The budget assigns the other key.
      const otherKey = answer.otherKey === true && policy.retries > 0 && retries.take(request.client)
      if (otherKey || answer.unsent === true) {
        emit({ type: 'attempt.retried', upstream, after: 0 })
        answer = await provider.send(answer.unsent === true ? { ...request, alone: true } : request)
      }
      const behind = answer.height === undefined ? 0 : reached(provider, answer.height)
      if (answer.height !== undefined) probeOthers(request)
      const failure = failureOf(provider.name, answer)
      if (failure !== undefined) {
        const { status, rest, ofOperation = status >= 500 } = answer
        if (rest !== undefined && ofOperation) call.pause(rest, status < 500)
        throw request.passes?.(answer.status) ? new WantedFailure(failure, answer) : failure
      }
      await request.check?.(answer)
      if (answer.elsewhere === true) call.refused()
      else if (request.failed?.(answer)) call.left()
      else {
        call.succeeded()
        if (answer.status < 400) {
          answerable.add(round.key)
          for (const judge of round.undecided) judge(true)
          round.undecided.clear()
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

  /** Counts a failure against the provider. If another provider may show the cause, the decision is deferred. */
  function judge({ keyed }: Provider, call: Call, error: WeirError, { key, undecided }: Round): void {
    const many = providers.length > 1
    if (error.unreachable) call.failed('unreachable', false)
    else if (PROVIDER_FAILURES.includes(error.code)) {
      if (!many || answerable.has(key)) call.failed('failed', false)
      else undecided.add((elsewhere) => call.failed('failed', elsewhere))
    } else if (many && (error.code === 'upstream_invalid' || (error.code === 'upstream_refused' && keyed)))
      undecided.add((elsewhere) => (elsewhere ? call.failed('failed', true) : call.refused()))
    else call.left()
  }

  /** The answer of a provider that does not lag too far behind. */
  async function ask(chosen: Chosen, request: UpstreamRequest, round: Round): Promise<UpstreamAnswer> {
    const answered = await exchange(chosen, request, round)
    const { answer, behind } = answered
    if (!isRepeatable(request)) return answer
    const { name } = chosen.provider
    if (answer.elsewhere === true && providers.length > 1) {
      round.refused ??= answer
      throw new WeirError('upstream_failed', `${name}: refused the request; another provider may answer it`)
    }
    if (behind <= maxLag) return answer
    emit({ type: 'attempt.skipped', upstream, provider: name, reason: `lags ${behind} behind` })
    if (behind < (round.nearest?.behind ?? Number.POSITIVE_INFINITY)) round.nearest = answered
    throw new WeirError('upstream_failed', `${name}: lags ${behind} behind the best provider`)
  }

  /**
   * Copies the request to providers that were not called recently, and ignores the answers. The lag of a provider is
   * unknown while it is the only one called, and a recovery is unknown while it is not called. Without requests,
   * neither matters.
   */
  function probeOthers({ urgency: _urgency, ...request }: UpstreamRequest): void {
    if (maxLag === Number.POSITIVE_INFINITY || !isRepeatable(request)) return
    const key = requestKey(request)
    for (const provider of providers) {
      const call = syncLag.isDue(provider) ? provider.enter(factsOf(request, key)) : undefined
      if (call === undefined) continue
      const round = newRound(key)
      exchange({ provider, call }, { ...request, priority: 'background', signal: undefined }, round)
        .catch(() => {
          // Already emitted, like every failure.
        })
        .finally(() => settle(round))
    }
  }

  function newRound(key: string, failing: ReadonlySet<Provider> = NONE): Round {
    return { key, tried: new Set(), failing, undecided: new Set(), nearest: undefined, refused: undefined }
  }

  /** Decides the open failures: no provider answered the request. */
  function settle({ undecided }: Round): void {
    for (const judge of undecided) judge(false)
    undecided.clear()
  }

  /** Calls a provider, and a second one if the first is slow. The first answer wins, and the other call is aborted. */
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
      // If the first call fails before the hedge began, that is the failure. Once both are under way, the last failure
      // counts.
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
        // Another provider is tried immediately: it has its own budget.
        for (let chosen = choose(request, round); chosen !== undefined; chosen = choose(request, round)) {
          try {
            return await askHedged(chosen, request, round)
          } catch (thrown) {
            failure = asWeirError(thrown)
            if (request.signal?.aborted) throw thrown
            if (!isRepeatable(request) || !mayOtherSucceed(failure, chosen.provider))
              return round.nearest?.answer ?? originalAnswer(thrown)
          }
        }
      } finally {
        settle(round)
      }
      // An answer that lags is better than none, and so is a refusal in the upstream's own words.
      const { nearest, refused } = round
      if (nearest !== undefined) return nearest.answer
      if (refused !== undefined) return refused
      if (failure === undefined) throw noProvider(factsOf(request, key))
      const pause = random() * Math.min(LONGEST_PAUSE, PAUSE * 2 ** rounds)
      const late = clock.monotonic() + pause >= request.deadline
      const known = failing.size > 0 || OTHER_PROVIDER.includes(failure.code) || asksToWait(failure)
      if (rounds >= policy.retries || known || late || !retries.take(request.client)) return originalAnswer(failure)
      emit({ type: 'attempt.retried', upstream, after: pause })
      await sleep(clock, pause, request.signal)
    }
  }

  function mayOtherSucceed({ code }: WeirError, { keyed }: Provider): boolean {
    return code === 'upstream_refused' ? keyed : PROVIDER_FAILURES.includes(code) || OTHER_PROVIDER.includes(code)
  }

  function noProvider(facts: RequestFacts): WeirError {
    const [next] = providers.map((provider) => provider.closed(facts)).sort((a, b) => a.wait - b.wait)
    const why = next?.paused ? 'the upstream asked to wait' : 'the breaker is open after repeated failures'
    const retryAfter = Math.max(1, next?.wait ?? 0)
    return new WeirError('upstream_failed', `${upstream}: ${why}`, { retryAfter, unreachable: true })
  }
}

const NONE: ReadonlySet<Provider> = new Set()

/** Whether the upstream asked to wait. */
function asksToWait({ retryAfter }: WeirError): boolean {
  return retryAfter !== undefined
}

/** A failure that the caller wants as the original answer. */
class WantedFailure extends WeirError {
  readonly answer: UpstreamAnswer

  constructor({ code, message, retryAfter, upstreamStatus }: WeirError, answer: UpstreamAnswer) {
    super(code, message, {
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
    })
    this.answer = answer
  }
}

/** The result of a failure once no try is left: the original answer if the caller wants it. */
function originalAnswer(failure: unknown): UpstreamAnswer {
  if (failure instanceof WantedFailure) return failure.answer
  throw failure
}

/** Whether a request may be sent twice: reads, and requests declared repeatable. */
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

/** The `Age` header (RFC 9111, 5.1) in milliseconds, 0 without one. */
function ageOf({ headers }: UpstreamAnswer): number {
  return /^\d+$/.test(headers.age ?? '') ? Number(headers.age) * 1000 : 0
}

function failureOf(provider: string, { status, body, rest }: UpstreamAnswer): WeirError | undefined {
  const details = { upstreamStatus: status, ...(rest === undefined ? {} : { retryAfter: rest }) }
  const detail = `${provider}: answered ${status}: ${body.subarray(0, 200).toString().replace(/\s+/g, ' ')}`
  if (status === 429) return new WeirError('upstream_limited', detail, { ...details, retryAfter: rest ?? DEFAULT_WAIT })
  if (status >= 500) return new WeirError('upstream_failed', detail, details)
  // Some upstreams limit the rate with another status and a wait.
  if (status >= 400 && rest !== undefined) return new WeirError('upstream_limited', detail, details)
  if (status === 401 || status === 403) return new WeirError('upstream_refused', detail, details)
  return undefined
}
