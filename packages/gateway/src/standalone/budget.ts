import { memoryMeters } from '../backend/memory/meters.ts'
import { type Budget as BudgetStage, createBudget as createStage } from '../budget/budget.ts'
import { readRateLimitSignal } from '../budget/rate-limit-signal.ts'
import { type Clock, keepAlive, systemClock } from '../clock.ts'
import { ConfigError, WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { BUDGET_OPTIONS, type Duration, milliseconds, readOptions } from '../options.ts'
import { type Limit, limitsOf } from '../upstream/limits.ts'

/** Options of `createBudget()`. */
export interface BudgetOptions {
  /** Limits of the upstream, each over a sliding window. */
  readonly limits: readonly Limit[]
  /** Name in errors and events. */
  readonly name?: string
  /** Number of API keys to spread calls over. Default: 1. */
  readonly keys?: number
  /** Share of each limit left to other users of the same account. Default: 0. */
  readonly reserve?: number
  /** `unknown` (default): closed for one window at start, since earlier calls may count. `none`: there were no earlier calls. */
  readonly pastUsage?: 'unknown' | 'none'
  /** Whether starts are spread evenly over each window. Default: false. */
  readonly pace?: boolean
  /** Limit of concurrent calls. Default: 1,000. */
  readonly concurrency?: number
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Options of one call. */
export interface RunOptions {
  /** Higher priorities start first. Default: `interactive`. */
  readonly priority?: Priority
  /** Client for fairness: clients of the same priority take turns. */
  readonly client?: string
  /** How long the call may wait for its start. Default: `'10s'`. */
  readonly deadline?: Duration
  /** Cost of the call. Default: 1. */
  readonly cost?: number
  /** A group of calls that the upstream limits separately, such as an RPC method. */
  readonly lane?: string
  readonly signal?: AbortSignal
}

/** Passed to a function that runs within the budget. */
export interface RunCall {
  /** The index of the API key to use. */
  readonly key: number
  /**
   * Reports the upstream's response. After a 429, no call starts until the time given in its headers.
   * `cost`: the actual cost.
   */
  answered(answer: {
    readonly status: number
    readonly headers: Headers | Readonly<Record<string, string>>
    readonly cost?: number
  }): void
}

/** Runs functions within the limits of an upstream. */
export interface Budget {
  /**
   * Runs `call` as soon as the limits allow.
   *
   * @throws WeirError `over_budget`, with `retryAfter`, when `call` cannot start before the deadline
   */
  run<Result>(call: (call: RunCall) => Promise<Result> | Result, options?: RunOptions): Promise<Result>
  /** Number of waiting calls. */
  readonly queued: number
  /** Number of calls in flight. */
  readonly running: number
}

/**
 * A budget for an existing program: exact sliding windows, fairness between clients, urgent calls first.
 *
 * @throws ConfigError with the option, the expected form and the given value
 * @example
 * const budget = createBudget({ limits: [{ calls: 50, per: '1s' }] })
 * const answer = await budget.run(() => fetch(url), { client: user.id, deadline: '2s' })
 */
export function createBudget(options: BudgetOptions): Budget {
  const where = 'createBudget()'
  const read = readOptions(where, BUDGET_OPTIONS, options)
  if (read.pastUsage !== 'unknown' && read.pastUsage !== 'none')
    throw new ConfigError(where, 'pastUsage', '"unknown" or "none"', read.pastUsage)
  const { name, keys, pace, concurrency } = read
  const { clock = systemClock, observe = () => {} } = options
  const plan = { limits: limitsOf(where, read.limits, read.reserve), keys, pastUsage: read.pastUsage, pace } as const
  const meter = memoryMeters(clock).open(name, plan)
  const names = Array.from({ length: keys }, (_, index) => String(index))
  const stage: BudgetStage = createStage({
    upstream: name,
    meter,
    plan,
    clock,
    emit: observe,
    concurrency,
    keys: names,
  })

  async function run<Result>(
    call: (call: RunCall) => Promise<Result> | Result,
    { priority = 'interactive', client = '', deadline = '10s', cost = 1, lane, signal }: RunOptions,
  ): Promise<Result> {
    const until = clock.monotonic() + milliseconds(where, 'deadline', deadline)
    if (!(cost > 0)) throw new WeirError('bad_request', `${name}: cost: expected a number above 0, got ${cost}`)
    const started = await stage.enter({
      priority,
      client,
      cost,
      deadline: until,
      signal,
      ...(lane === undefined ? {} : { lane }),
    })
    let actualCost: number | undefined
    try {
      return await call({
        key: started.key,
        answered({ status, headers, cost }) {
          actualCost = cost
          const plain = headers instanceof Headers ? Object.fromEntries(headers) : headers
          const rateLimit = readRateLimitSignal({ status, headers: plain, body: Buffer.alloc(0) }, clock.now())
          // The budget has a single target, so it pauses as a whole.
          started.heed({ ...rateLimit, rest: rateLimit.rest ?? rateLimit.away })
        },
      })
    } finally {
      // An aborted call may still reach the upstream.
      started.end({ arrived: signal?.aborted !== true, ...(actualCost === undefined ? {} : { cost: actualCost }) })
    }
  }

  const keepAwake = keepAlive()
  return {
    run: (call, options = {}) => keepAwake(run(call, options)),
    get queued() {
      return stage.queued
    },
    get running() {
      return stage.running
    },
  }
}
