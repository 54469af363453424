import { LRUCache } from 'lru-cache'
import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Breaker, createBreaker, type Failure } from './breaker.ts'

/** The weight of the last call in the running means. */
const RECENT = 0.2

/** A provider that fails every call scores as if it were this many times slower. */
const ERROR_WEIGHT = 20

/**
 * The score halves after this many milliseconds without a call, so that a provider that did badly long ago gets another
 * try.
 */
const SCORE_HALF_LIFE = 30_000

/** Maximum number of operations with a breaker. */
const MAX_OPERATIONS = 1000

/** Maximum number of remembered failing requests, and for how long in milliseconds. */
const MAX_FAILING = 2000
const FAILING_FOR = 10_000

/**
 * After a failed probe, the request is no probe for this long, in milliseconds, so that others get a turn. The same
 * applies to all requests of its client that are without a known answer. Slightly longer than a breaker stays open.
 */
const NO_PROBE_FOR = 7000

/** The facts about a request that a provider needs. */
export interface RequestFacts {
  readonly key: string
  readonly operation: string
  readonly client: string
  /** Whether it recently had an answer, from any provider. */
  readonly answerable: boolean
}

/** A provider, and how it performed recently. */
export interface Provider {
  readonly name: string
  /** The path below, with its own budget and connections. */
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  /** Whether 401 and 403 concern an API key of the gateway. */
  readonly keyed: boolean
  /** The recent answer time plus the age of the answers, in milliseconds, raised by errors. Smaller is better. */
  readonly score: number
  /** Admits a call; undefined if a breaker blocks it. */
  enter(facts: RequestFacts): Call | undefined
  /** Why a call is blocked, and for how many milliseconds. */
  closed(facts: RequestFacts): Closed
  /** Whether this request failed here recently. */
  isFailing(key: string): boolean
}

/** A block. `paused`: the upstream asked to wait. */
export interface Closed {
  readonly reason: string
  readonly wait: number
  readonly paused: boolean
}

/** A wait that an operation asked for, and the request that received it. */
interface Wait {
  readonly key: string
  readonly until: number
  /** It refused a request that is known to have an answer. */
  readonly refused: boolean
}

/** A call to a provider. One of its methods is called when the call ends. */
export interface Call {
  succeeded(): void
  /** @param elsewhere whether another provider answered the same request, which is then not the cause */
  failed(how: 'unreachable' | 'failed', elsewhere: boolean): void
  /** It failed because of its content, which does not count against the provider. */
  refused(): void
  /** Reports the age of the answer in milliseconds: fast but outdated answers score no better than slow current ones. */
  lagged(age: number): void
  /**
   * The upstream asked to wait.
   *
   * @param refused whether it refused the request rather than failed
   */
  pause(duration: number, refused: boolean): void
  /** It was abandoned, or refused without fault of the provider. */
  left(): void
}

/** A remembered failing request. */
interface Failing {
  readonly at: number
  /** It is not sent before this time. */
  readonly until: number
}

export interface ProviderParts {
  readonly name: string
  readonly send: Provider['send']
  readonly keyed?: boolean
  readonly clock: Clock
}

export function createProvider({ name, send, keyed = false, clock }: ProviderParts): Provider {
  let latency = 0
  let lag = 0
  let errors = 0
  let lastAsked = 0
  const providerBreaker = createBreaker({ clock, operations: 2, quiet: true })
  const operations = new LRUCache<string, Breaker>({ max: MAX_OPERATIONS })
  /** Operations that asked to wait. */
  const requestedWaits = new LRUCache<string, Wait>({ max: 10 })
  const failing = new LRUCache<string, Failing>({ max: MAX_FAILING })
  /** Requests and clients whose probes failed, and when that ends, on the monotonic clock. */
  const noProbes = new LRUCache<string, number>({ max: MAX_FAILING })

  function recordLatency(took: number): void {
    latency += (took - latency) * (latency === 0 ? 1 : RECENT)
  }

  function recordError(share: 0 | 1): void {
    errors += (share - errors) * RECENT
  }

  /** The breaker of an operation. It is created at the operation's first failure. */
  function breakerOf(operation: string): Breaker {
    const known = operations.get(operation)
    if (known !== undefined) return known
    const breaker = createBreaker({ clock, operations: 1, quiet: providerBreaker.quiet })
    operations.set(operation, breaker)
    return breaker
  }

  function remember(key: string, until = failing.peek(key)?.until ?? 0): void {
    failing.set(key, { until, at: clock.monotonic() })
  }

  function mayProbe({ key, client, answerable }: RequestFacts): boolean {
    const blocked = [`key ${key}`, ...(answerable ? [] : [`client ${client}`])].map((name) => noProbes.peek(name) ?? 0)
    return Math.max(...blocked) <= clock.monotonic()
  }

  /** How long the provider is blocked: if two operations asked to wait, for the shorter of their waits. */
  function shared(active: readonly Wait[]): number | undefined {
    return active.length > 1 ? Math.min(...active.map(({ until }) => until)) - clock.monotonic() : undefined
  }

  function noProbe({ key, client, answerable }: RequestFacts): void {
    const until = clock.monotonic() + NO_PROBE_FOR
    noProbes.set(`key ${key}`, until)
    if (!answerable) noProbes.set(`client ${client}`, until)
  }

  function isFailing(key: string): boolean {
    const known = failing.peek(key)
    return known !== undefined && clock.monotonic() - known.at < FAILING_FOR
  }

  return {
    name,
    send,
    keyed,
    isFailing,
    get score() {
      const decay = 0.5 ** ((clock.monotonic() - lastAsked) / SCORE_HALF_LIFE)
      return (latency + lag + 1) * (1 + ERROR_WEIGHT * errors) * decay
    },

    closed({ key, operation, answerable }) {
      const until = (failing.peek(key)?.until ?? 0) - clock.monotonic()
      const own = operations.peek(operation)
      const waits = [providerBreaker.wait(answerable), own?.wait(answerable) ?? 0, until]
      const reason = waits[0]
        ? `its breaker is ${providerBreaker.state}`
        : `its breaker of ${operation} is ${own?.state ?? 'open'}`
      const paused = until > 0 || providerBreaker.paused(answerable) || own?.paused(answerable) === true
      return { reason, wait: Math.max(0, ...waits), paused }
    },

    enter(facts) {
      const { key, operation, client, answerable } = facts
      const now = clock.monotonic()
      if ((failing.peek(key)?.until ?? 0) > now) return undefined
      const own = operations.get(operation)
      const open = providerBreaker.state !== 'closed' || (own !== undefined && own.state !== 'closed')
      const may = !open || mayProbe(facts)
      const pass = providerBreaker.enter(answerable, may)
      if (pass === undefined) return undefined
      const ownPass = own?.enter(answerable, may)
      if (own !== undefined && ownPass === undefined) {
        pass.left()
        return undefined
      }
      lastAsked = now
      // A hanging probe must not take the next turn too.
      if (open && !answerable) noProbe(facts)

      return {
        succeeded() {
          // Only successes count: how fast a call fails does not show how fast it answers.
          recordLatency(clock.monotonic() - now)
          recordError(0)
          failing.delete(key)
          if (open) for (const name of [`key ${key}`, `client ${client}`]) noProbes.delete(name)
          pass.succeeded()
          ownPass?.succeeded()
        },
        failed(how, elsewhere) {
          const unreachable = how === 'unreachable'
          // Each failing request counts once.
          const counts = elsewhere || (answerable && !isFailing(key))
          const failure: Failure = { key, operation, client, unreachable, answerable: counts }
          if (counts || unreachable) recordError(1)
          if (!unreachable) {
            remember(key)
            if (open) noProbe(facts)
          }
          pass.failed(failure)
          if (unreachable) ownPass?.left()
          else if (ownPass !== undefined) ownPass.failed(failure)
          else breakerOf(operation).enter(answerable)?.failed(failure)
        },
        refused() {
          remember(key)
          pass.left()
          ownPass?.left()
        },
        lagged(age) {
          lag += (age - lag) * RECENT
        },
        pause(duration, refused) {
          const moment = clock.monotonic() + duration
          const own = breakerOf(operation)
          const before = requestedWaits.get(operation)
          // For a single request without a known answer, the content may be the cause; for a second such request it is
          // not.
          const second = before !== undefined && before.key !== key && before.until > clock.monotonic()
          if (answerable) own.pause(duration, 'all')
          else if (second && own.quiet) own.pause(Math.min(moment, before.until) - clock.monotonic(), 'unanswered')
          remember(key, moment)
          requestedWaits.set(operation, { key, until: moment, refused: refused && answerable })
          // Two operations speak for the provider: for requests without a known answer if nothing succeeds, for all if
          // requests known to have an answer are refused.
          const active = [...requestedWaits.values()].filter(({ until }) => until > clock.monotonic())
          const forNew = providerBreaker.quiet ? shared(active) : undefined
          if (forNew !== undefined) providerBreaker.pause(forNew, 'unanswered')
          const forAll = shared(active.filter(({ refused }) => refused))
          if (forAll !== undefined) providerBreaker.pause(forAll, 'all')
        },
        left() {
          // The answer would have taken longer still. A provider that always loses to its hedge must not seem fast.
          if (clock.monotonic() - now > latency) recordLatency(clock.monotonic() - now)
          pass.left()
          ownPass?.left()
        },
      }
    },
  }
}
