import { memoryMeters } from '../backend/memory/meters.ts'
import { type Budget as BudgetStage, createBudget as createStage } from '../budget/budget.ts'
import { type Clock, keepAlive, systemClock } from '../clock.ts'
import { ConfigError, WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { BUDGET_OPTIONS } from '../options/standalone.ts'
import { type Duration, milliseconds, readOptions } from '../options.ts'
import { readRateLimitHeaders } from '../rate-limit-signal.ts'
import { type Limit, limitsOf } from '../upstream/limits.ts'

/** The options of `createBudget()`. */
export interface BudgetOptions {
  /** Rate limits, in sliding windows. */
  readonly limits: readonly Limit[]
  /** The name in errors and events. */
  readonly name?: string
  /** Number of API keys over which calls are spread. 1 by default. */
  readonly keys?: number
  /** Calls of each limit that are left to other users of the account. 0 by default. */
  readonly reserve?: number
  /**
   * `unknown` (default): grants nothing for one window at start, since earlier calls may still count. `none`: there
   * were no earlier calls.
   */
  readonly pastUsage?: 'unknown' | 'none'
  /** Spreads starts evenly over each window. False by default. */
  readonly pace?: boolean
  /** Concurrent calls. 1,000 by default. */
  readonly concurrency?: number
  readonly clock?: Clock
  readonly observe?: Emit
}

/** The options of one call. */
export interface RunOptions {
  /** `interactive` by default; higher classes go first. */
  readonly priority?: Priority
  /** The unit of fairness: clients of one class take turns. */
  readonly client?: string
  /** How long it may wait for its start. `'10s'` by default. */
  readonly deadline?: Duration
  /** Its cost. 1 by default. */
  readonly cost?: number
  /** A group of calls that the upstream limits separately, such as a method. */
  readonly lane?: string
  readonly signal?: AbortSignal
}

/** The argument of a function that runs within the budget. */
export interface RunCall {
  /** The index of the API key to use. */
  readonly key: number
  /**
   * Reports the upstream's answer to the budget: after a 429 nothing starts until the moment that its headers name.
   * `cost`: the actual cost.
   */
  answered(answer: {
    readonly status: number
    readonly headers: Headers | Readonly<Record<string, string>>
    readonly cost?: number
  }): void
}

/** Runs functions within rate limits. */
export interface Budget {
  /**
   * Runs `call` as soon as the limits allow.
   *
   * @throws WeirError `over_budget` if they do not allow it before the deadline; `retryAfter` is the time to wait
   */
  run<Result>(call: (call: RunCall) => Promise<Result> | Result, options?: RunOptions): Promise<Result>
  /** Waiting calls. */
  readonly queued: number
  /** Running calls. */
  readonly running: number
}

/**
 * A budget for an existing program: exact sliding windows, fair between clients, urgent calls first.
 *
 * @throws ConfigError with the option, the expected and the given value
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
    let truth: number | undefined
    try {
      return await call({
        key: started.key,
        answered({ status, headers, cost }) {
          truth = cost
          const plain = headers instanceof Headers ? Object.fromEntries(headers) : headers
          const signal = readRateLimitHeaders({ status, headers: plain, body: Buffer.alloc(0) }, clock.now())
          // There are no operations here that could wait by themselves.
          started.apply({ ...signal, pause: signal.pause ?? signal.retryAfter })
        },
      })
    } finally {
      // What was given up may still be on its way.
      started.end({ arrived: signal?.aborted !== true, ...(truth === undefined ? {} : { cost: truth }) })
    }
  }

  const awaited = keepAlive()
  return {
    run: (call, options = {}) => awaited(run(call, options)),
    get queued() {
      return stage.queued
    },
    get running() {
      return stage.running
    },
  }
}
