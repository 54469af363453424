import type { Next, UpstreamAnswer, UpstreamRequest } from '../call.ts'
import type { Clock } from '../clock.ts'
import { type Breaker, createBreaker } from './breaker.ts'

/** How much the last call counts in the running means. */
const RECENT = 0.2

/** How many times slower than it is a provider counts, that fails every call. */
const ERRORS_WEIGH = 20

/** One of those who can answer, and how it has done of late. */
export interface Provider {
  readonly name: string
  readonly breaker: Breaker
  /** The path below: its own budget, its own sockets. */
  readonly send: Next<UpstreamRequest, Promise<UpstreamAnswer>>
  /** Milliseconds an answer took of late, longer for errors; the smaller the better. */
  readonly score: number
  /** A call came back after so many milliseconds. */
  answered(took: number, good: boolean): void
}

export function createProvider(name: string, send: Provider['send'], clock: Clock): Provider {
  let latency = 0
  let errors = 0
  const breaker = createBreaker(clock)
  return {
    name,
    breaker,
    send,
    get score() {
      return (latency + 1) * (1 + ERRORS_WEIGH * errors)
    },
    answered(took, good) {
      // How quickly it fails says nothing of how quickly it answers.
      if (good) latency += (took - latency) * (latency === 0 ? 1 : RECENT)
      errors += ((good ? 0 : 1) - errors) * RECENT
      if (good) breaker.succeeded()
      else breaker.failed()
    },
  }
}
