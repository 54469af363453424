import { LRUCache } from 'lru-cache'
import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Breaker, createBreaker, type Failure } from './breaker.ts'

/** How much the last call counts in the running means. */
const RECENT = 0.2

/** How many times slower than it is a provider counts, that fails every call. */
const ERRORS_WEIGH = 20

/** The score halves in so many milliseconds without a call: whoever did badly long ago is given another try. */
const FORGETS = 30_000

/** Operations that have a breaker: each has failed. */
const OPERATIONS = 1000

/** Requests that are remembered as failing here, and for how long, in milliseconds. */
const FAILING = 2000
const FAILS_FOR = 10_000

/**
 * A request whose probe failed is no probe again for this long, in milliseconds, so that others get their turn; nor is another request of its
 * client, where the request never had an answer. It is a little more than a breaker is open.
 */
const NO_PROBE = 7000

/** A request as a provider has to know it. */
export interface Asked {
  readonly key: string
  readonly operation: string
  readonly client: string
  /** Whether it had an answer of late, from any provider. */
  readonly answerable: boolean
}

/** One of those who can answer, and how it has done of late. */
export interface Provider {
  readonly name: string
  /** The path below: its own budget, its own sockets. */
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  /** Whether a 401 or 403 is of a key of ours. */
  readonly keyed: boolean
  /** Milliseconds an answer took of late, beside the age of what it said, longer for errors; the smaller the better. */
  readonly score: number
  /** A call is about to be made; undefined when a breaker keeps it away. */
  enter(asked: Asked): Call | undefined
  /** Why a call is kept away, and for how many milliseconds. */
  closed(asked: Asked): Closed
  /** Whether this request failed here a short while ago. */
  isFailing(key: string): boolean
}

/** `paused`: the upstream asked to wait for so long. */
export interface Closed {
  readonly reason: string
  readonly wait: number
  readonly paused: boolean
}

/** What an operation said of when to come back, and to which request. */
interface Away {
  readonly key: string
  readonly until: number
  /** It refused what is known to have an answer. */
  readonly refused: boolean
}

/** One call to a provider; one of these is to be called when it is over. */
export interface Call {
  succeeded(): void
  /** `elsewhere`: another provider answered the same request, so that it is not the request's own doing. */
  failed(how: 'unreachable' | 'failed', elsewhere: boolean): void
  /** It failed for what was asked, which says nothing of the provider. */
  refused(): void
  /** It was so old what it answered, in milliseconds: who is quick with old news is no quicker than who waits for new. */
  lagged(age: number): void
  /** The upstream said when to come back. `refused`: it did not fail, but forbid. */
  pause(duration: number, refused: boolean): void
  /** It was given up, or refused for no fault of the provider's. */
  left(): void
}

/** What is remembered of a request that failed. */
interface Failing {
  readonly at: number
  /** Not to be asked before. */
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
  const whole = createBreaker({ clock, operations: 2, quiet: true })
  const operations = new LRUCache<string, Breaker>({ max: OPERATIONS })
  /** Operations that said when to come back. */
  const away = new LRUCache<string, Away>({ max: 10 })
  const failing = new LRUCache<string, Failing>({ max: FAILING })
  /** Requests and clients whose probes failed, with the end of that on the monotonic clock. */
  const noProbes = new LRUCache<string, number>({ max: FAILING })

  function note(took: number): void {
    latency += (took - latency) * (latency === 0 ? 1 : RECENT)
  }

  function noteError(share: 0 | 1): void {
    errors += (share - errors) * RECENT
  }

  /** The breaker of an operation: it has one from its first failure on. */
  function breakerOf(operation: string): Breaker {
    const known = operations.get(operation)
    if (known !== undefined) return known
    const made = createBreaker({ clock, operations: 1, quiet: whole.quiet })
    operations.set(operation, made)
    return made
  }

  function remember(key: string, until = failing.peek(key)?.until ?? 0): void {
    failing.set(key, { until, at: clock.monotonic() })
  }

  function mayProbe({ key, client, answerable }: Asked): boolean {
    const blocked = [`key ${key}`, ...(answerable ? [] : [`client ${client}`])].map((name) => noProbes.peek(name) ?? 0)
    return Math.max(...blocked) <= clock.monotonic()
  }

  /** How long all operations are left alone that said when to come back, where two did. */
  function shared(said: readonly Away[]): number | undefined {
    return said.length > 1 ? Math.min(...said.map(({ until }) => until)) - clock.monotonic() : undefined
  }

  function noProbe({ key, client, answerable }: Asked): void {
    const until = clock.monotonic() + NO_PROBE
    noProbes.set(`key ${key}`, until)
    if (!answerable) noProbes.set(`client ${client}`, until)
  }

  function isFailing(key: string): boolean {
    const known = failing.peek(key)
    return known !== undefined && clock.monotonic() - known.at < FAILS_FOR
  }

  return {
    name,
    send,
    keyed,
    isFailing,
    get score() {
      const forgotten = 0.5 ** ((clock.monotonic() - lastAsked) / FORGETS)
      return (latency + lag + 1) * (1 + ERRORS_WEIGH * errors) * forgotten
    },

    closed({ key, operation, answerable }) {
      const until = (failing.peek(key)?.until ?? 0) - clock.monotonic()
      const own = operations.peek(operation)
      const waits = [whole.wait(answerable), own?.wait(answerable) ?? 0, until]
      const reason = waits[0]
        ? `its breaker is ${whole.state}`
        : `its breaker of ${operation} is ${own?.state ?? 'open'}`
      const paused = until > 0 || whole.paused(answerable) || own?.paused(answerable) === true
      return { reason, wait: Math.max(0, ...waits), paused }
    },

    enter(asked) {
      const { key, operation, client, answerable } = asked
      const now = clock.monotonic()
      if ((failing.peek(key)?.until ?? 0) > now) return undefined
      const own = operations.get(operation)
      const open = whole.state !== 'closed' || (own !== undefined && own.state !== 'closed')
      const may = !open || mayProbe(asked)
      const pass = whole.enter(answerable, may)
      if (pass === undefined) return undefined
      const ownPass = own?.enter(answerable, may)
      if (own !== undefined && ownPass === undefined) {
        pass.left()
        return undefined
      }
      lastAsked = now
      // A probe that hangs must not take the next turn too.
      if (open && !answerable) noProbe(asked)

      return {
        succeeded() {
          // How quickly it fails says nothing of how quickly it answers.
          note(clock.monotonic() - now)
          noteError(0)
          failing.delete(key)
          if (open) for (const name of [`key ${key}`, `client ${client}`]) noProbes.delete(name)
          pass.succeeded()
          ownPass?.succeeded()
        },
        failed(how, elsewhere) {
          const unreachable = how === 'unreachable'
          // A request that has failed before is no news: each is counted once.
          const counts = elsewhere || (answerable && !isFailing(key))
          const failure: Failure = { key, operation, client, unreachable, answerable: counts }
          if (counts || unreachable) noteError(1)
          if (!unreachable) {
            remember(key)
            if (open) noProbe(asked)
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
          const before = away.get(operation)
          // To one request that never had an answer it may say so for what was asked, to a second one it does not.
          const second = before !== undefined && before.key !== key && before.until > clock.monotonic()
          if (answerable) own.pause(duration, 'all')
          else if (second && own.quiet) own.pause(Math.min(moment, before.until) - clock.monotonic(), 'unanswered')
          remember(key, moment)
          away.set(operation, { key, until: moment, refused: refused && answerable })
          // Two operations are word of the provider: of new requests where nothing succeeds, of all where known ones are refused.
          const said = [...away.values()].filter(({ until }) => until > clock.monotonic())
          const forNew = whole.quiet ? shared(said) : undefined
          if (forNew !== undefined) whole.pause(forNew, 'unanswered')
          const forAll = shared(said.filter(({ refused }) => refused))
          if (forAll !== undefined) whole.pause(forAll, 'all')
        },
        left() {
          // It would have taken longer still: one that loses to its hedge each time must not seem quick.
          if (clock.monotonic() - now > latency) note(clock.monotonic() - now)
          pass.left()
          ownPass?.left()
        },
      }
    },
  }
}
