import type { Grant, Meter } from '../backend/ports.ts'
import type { Next, Stage, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { WeirError } from '../errors.ts'
import type { Emit, Priority } from '../events.ts'
import { restAfter } from './rest.ts'

export interface BudgetParts {
  readonly upstream: string
  readonly meter: Meter
  readonly clock: Clock
  readonly emit: Emit
  /** Calls under way at once. */
  readonly concurrency: number
  /** The API keys, by the index that grants name; empty when there are none. */
  readonly keys: readonly string[]
}

/** The stage that says when a call may start, and what waits. */
export interface Budget {
  readonly stage: Stage<UpstreamRequest, Promise<UpstreamAnswer>>
  /** Calls that wait. */
  readonly queued: number
  /** Calls under way. */
  readonly running: number
}

interface Waiter {
  readonly request: UpstreamRequest
  readonly since: number
  start(grant: Grant): void
  fail(error: unknown): void
}

/** How long after we gave a call up it may still arrive at the upstream, in milliseconds. */
const STILL_ARRIVING = 250

const CLASSES: readonly Priority[] = ['interactive', 'live', 'background']

/**
 * Starts a call only when the meter has a place for it: better classes first, in order inside a class. Nobody holds a
 * place in the future, so an urgent call that comes late still goes first.
 */
export function createBudget({ upstream, meter, clock, emit, concurrency, keys }: BudgetParts): Budget {
  const queues: Record<Priority, Set<Waiter>> = { interactive: new Set(), live: new Set(), background: new Set() }
  let running = 0
  let queued = 0
  let timer: Timer | undefined
  let pumping = false
  let again = false

  function best(): Waiter | undefined {
    for (const priority of CLASSES) for (const waiter of queues[priority]) return waiter
    return undefined
  }

  function leave(waiter: Waiter): boolean {
    if (!queues[waiter.request.priority].delete(waiter)) return false
    queued -= 1
    return true
  }

  /**
   * One at a time: two would ask for the same waiter, and start more than there are connections. What happens meanwhile,
   * such as the end of a call, may change the answer, so it is asked once more.
   */
  async function pump(): Promise<void> {
    again = true
    if (pumping) return
    pumping = true
    try {
      while (again) {
        again = false
        await startWaiting()
      }
    } finally {
      pumping = false
    }
  }

  async function startWaiting(): Promise<void> {
    for (let waiter = best(); waiter !== undefined && running < concurrency; waiter = best()) {
      const { priority, cost } = waiter.request
      const { granted, wait } = await meter.take([{ priority, cost }])
      const grant = granted[0]
      if (grant === undefined) {
        timer?.stop()
        // Without a moment to wait for, the end of a running call pumps again.
        timer = wait === undefined ? undefined : clock.after(Math.max(1, wait), pumpSoon)
        return
      }
      // Whoever is best now gets it: the one who asked may have left while a shared meter was answering.
      const chosen = best()
      if (chosen === undefined || chosen.request.cost !== grant.cost) {
        meter.cancel(grant)
        continue
      }
      leave(chosen)
      chosen.start(grant)
    }
  }

  function pumpSoon(): void {
    pump().catch((error) => emit({ type: 'failed', where: `budget of ${upstream}`, error }))
  }

  /** Waits for a grant, until the deadline or the last waiter's leaving. */
  function enter(request: UpstreamRequest): Promise<Grant> {
    return new Promise((resolve, reject) => {
      const since = clock.monotonic()
      const waiter: Waiter = {
        request,
        since,
        start(grant) {
          done()
          running += 1
          emit({ type: 'budget.started', upstream, waited: clock.monotonic() - since, priority: request.priority })
          resolve(grant)
        },
        fail(error) {
          done()
          reject(error)
        },
      }
      const refuse = () => {
        if (!leave(waiter)) return
        const retryAfter = 1000
        emit({ type: 'budget.refused', upstream, priority: request.priority, retryAfter })
        waiter.fail(
          new WeirError(
            'over_budget',
            `${upstream}: no call could start in ${Math.round(clock.monotonic() - since)} ms; ${queued} others wait`,
            { retryAfter },
          ),
        )
      }
      const late = clock.after(Math.max(0, request.deadline - since), refuse)
      const aborted = () => {
        if (leave(waiter)) waiter.fail(request.signal?.reason)
      }
      const done = () => {
        late.stop()
        request.signal?.removeEventListener('abort', aborted)
      }
      request.signal?.addEventListener('abort', aborted)
      queues[request.priority].add(waiter)
      queued += 1
      if (request.deadline <= since) refuse()
      else pumpSoon()
    })
  }

  /** What the upstream said of our rate closes the meter. */
  function heed(answer: UpstreamAnswer, grant: Grant): void {
    if (answer.status !== 429) return
    const rest = restAfter(answer.headers, clock.now())
    meter.close(rest, keys.length > 1 ? grant.key : undefined)
    emit({ type: 'budget.closed', upstream, for: rest, reason: 'the upstream answered 429' })
  }

  return {
    stage: (next: Next<UpstreamRequest, Promise<UpstreamAnswer>>) => async (request) => {
      request.signal?.throwIfAborted()
      const grant = await enter(request)
      let answered = false
      const settle = () => {
        meter.settle(grant)
        pumpSoon()
      }
      try {
        const answer = await next({ ...request, apiKey: keys[grant.key] })
        answered = true
        heed(answer, grant)
        return answer
      } finally {
        running -= 1
        if (answered) {
          settle()
        } else {
          // It may arrive later than a call that starts one window from now, and then both would be in one window.
          clock.after(STILL_ARRIVING, settle)
          pumpSoon()
        }
      }
    },
    get queued() {
      return queued
    },
    get running() {
      return running
    },
  }
}
