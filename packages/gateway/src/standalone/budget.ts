import { memoryMeters } from '../backend/memory/meters.ts'
import { type Budget as BudgetStage, createBudget as createStage } from '../budget/budget.ts'
import { type Clock, keepAlive, systemClock } from '../clock.ts'
import { ConfigError, WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { BUDGET_OPTIONS } from '../options/standalone.ts'
import { type Duration, milliseconds, readOptions } from '../options.ts'
import { readRateLimitHeaders } from '../rate-limit-signal.ts'
import { type Limit, limitsOf } from '../upstream/limits.ts'

/** What `createBudget()` takes. */
export interface BudgetOptions {
  /** What is allowed, in sliding windows. */
  readonly limits: readonly Limit[]
  /** What it is called in errors and events. */
  readonly name?: string
  /** API keys to spread calls over. 1 by default. */
  readonly keys?: number
  /** What is left of each limit to others who use the same account. 0 by default. */
  readonly reserve?: number
  /** `unknown` (default): shut for one window at start, since calls may have been made before. `none`: nobody made any. */
  readonly pastUsage?: 'unknown' | 'none'
  /** Spreads starts evenly over each window. False by default. */
  readonly pace?: boolean
  /** Calls under way at once. 1,000 by default. */
  readonly concurrency?: number
  readonly clock?: Clock
  readonly observe?: Emit
}

/** How one call stands to others. */
export interface RunOptions {
  /** `interactive` by default; better classes go first. */
  readonly priority?: Priority
  /** Whom fairness counts: clients of one class take turns. */
  readonly client?: string
  /** How long it may wait for its start. `'10s'` by default. */
  readonly deadline?: Duration
  /** What it costs. 1 by default. */
  readonly cost?: number
  /** What the upstream counts apart, such as a method. */
  readonly lane?: string
  readonly signal?: AbortSignal
}

/** What a function that runs within the budget is given. */
export interface RunCall {
  /** The index of the API key to use. */
  readonly key: number
  /**
   * Tells the budget what the upstream answered: after a 429 nothing starts until the moment that its headers name.
   * `cost`: what it cost in truth.
   */
  answered(answer: {
    readonly status: number
    readonly headers: Headers | Readonly<Record<string, string>>
    readonly cost?: number
  }): void
}

/** Runs functions within a limit. */
export interface Budget {
  /**
   * Runs `call` when there is a place for it.
   *
   * @throws WeirError `over_budget` when there will be none before the deadline; `retryAfter` tells how long to wait
   */
  run<Result>(call: (call: RunCall) => Promise<Result> | Result, options?: RunOptions): Promise<Result>
  /** Calls that wait. */
  readonly queued: number
  /** Calls under way. */
  readonly running: number
}

/**
 * A budget for an existing program: exact sliding windows, fair between clients, urgent calls first.
 *
 * @throws ConfigError naming the option, what was expected and what came
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
