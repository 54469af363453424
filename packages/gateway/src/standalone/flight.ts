import { type Clock, keepAlive, systemClock } from '../clock.ts'
import type { Emit } from '../events.ts'
import { singleFlight } from '../flight/single-flight.ts'
import { type Duration, FLIGHT_OPTIONS, milliseconds, readOptions } from '../options.ts'
import { untilDeadline } from '../standalone/deadline.ts'

/** Options of `createFlight()`. */
export interface FlightOptions<Value> {
  /** Loads the value of a key. `signal` aborts when the last caller leaves. */
  load(key: string, signal: AbortSignal): Promise<Value>
  /** Name in errors and events. */
  readonly name?: string
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Shares one call between all callers that wait for the same key. */
export interface Flight<Value> {
  /**
   * Joins the call in flight for a key, or starts one. Default `deadline`: `'10s'`.
   *
   * @throws the error of `load`; `upstream_timeout` at the deadline; the signal's reason once aborted
   */
  load(key: string, options?: { readonly signal?: AbortSignal; readonly deadline?: Duration }): Promise<Value>
}

/**
 * Single flight: simultaneous callers share one call and its error, and the last caller to leave aborts it. Nothing is cached, so a
 * later caller starts a new call.
 *
 * @throws ConfigError with the option, the expected form and the given value
 */
export function createFlight<Value>(options: FlightOptions<Value>): Flight<Value> {
  const { name } = readOptions('createFlight()', FLIGHT_OPTIONS, options)
  const { clock = systemClock, observe: emit = () => {} } = options
  const share = singleFlight<Value>({
    feed: name,
    clock,
    emit,
    start: ({ topic, deadline }, gone) =>
      untilDeadline(name, clock, deadline, gone, (signal) => options.load(topic, signal)),
  })
  const keepAwake = keepAlive()
  return {
    load(key, { signal, deadline = '10s' } = {}) {
      const until = clock.monotonic() + milliseconds(name, 'deadline', deadline)
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      return keepAwake(share({ ...ask, refresh: false }))
    },
  }
}
