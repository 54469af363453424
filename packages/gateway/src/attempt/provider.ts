import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Breaker, createBreaker } from './breaker.ts'

/** How much the last call counts in the running means. */
const RECENT = 0.2

/** How many times slower than it is a provider counts, that fails every call. */
const ERRORS_WEIGH = 20

/** The score halves in so many milliseconds without a call: whoever did badly long ago is given another try. */
const FORGETS = 30_000

/** One of those who can answer, and how it has done of late. */
export interface Provider {
  readonly name: string
  readonly breaker: Breaker
  /** The path below: its own budget, its own sockets. */
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  /** Milliseconds an answer took of late, beside the age of what it said, longer for errors; the smaller the better. */
  readonly score: number
  /** A call is about to be made; undefined when the breaker keeps it away. */
  enter(): Call | undefined
}

/** One call to a provider; one of these is to be told when it is over. */
export interface Call {
  answered(good: boolean): void
  /** So old was what it answered, in milliseconds: who is quick with old news is no quicker than who waits for new. */
  lagged(age: number): void
  /** It was given up, or refused for no fault of the provider's. */
  left(): void
}

export function createProvider(name: string, send: Provider['send'], clock: Clock): Provider {
  let latency = 0
  let lag = 0
  let errors = 0
  let lastAsked = 0
  const breaker = createBreaker(clock)

  function note(took: number): void {
    latency += (took - latency) * (latency === 0 ? 1 : RECENT)
  }

  return {
    name,
    breaker,
    send,
    get score() {
      const forgotten = 0.5 ** ((clock.monotonic() - lastAsked) / FORGETS)
      return (latency + lag + 1) * (1 + ERRORS_WEIGH * errors) * forgotten
    },
    enter() {
      const pass = breaker.enter()
      if (pass === undefined) return undefined
      const at = clock.monotonic()
      lastAsked = at
      return {
        answered(good) {
          // How quickly it fails says nothing of how quickly it answers.
          if (good) note(clock.monotonic() - at)
          errors += ((good ? 0 : 1) - errors) * RECENT
          if (good) pass.succeeded()
          else pass.failed()
        },
        lagged(age) {
          lag += (age - lag) * RECENT
        },
        left() {
          // It would have taken longer still: one that loses to its hedge each time must not seem quick.
          if (clock.monotonic() - at > latency) note(clock.monotonic() - at)
          pass.left()
        },
      }
    },
  }
}
