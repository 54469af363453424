import { type Clock, keepAlive, systemClock } from '../clock.ts'
import type { Emit } from '../events.ts'
import { singleFlight } from '../flight/single-flight.ts'
import { FLIGHT_OPTIONS } from '../options/standalone.ts'
import { type Duration, milliseconds, readOptions } from '../options.ts'
import { untilDeadline } from '../standalone/deadline.ts'

/** The options of `createFlight()`. */
export interface FlightOptions<Value> {
  /** Makes the call for a key. `signal` is aborted when the last waiter leaves. */
  load(key: string, signal: AbortSignal): Promise<Value>
  /** The name in errors and events. */
  readonly name?: string
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Makes one call for all waiters of a key. */
export interface Flight<Value> {
  /**
   * Returns the value of a key from the call under way, or from a new one. `deadline`: `'10s'` by default.
   *
   * @throws the error of `load`, to all waiters; `upstream_timeout` at the deadline; the signal's reason if it is
   * aborted
   */
  load(key: string, options?: { readonly signal?: AbortSignal; readonly deadline?: Duration }): Promise<Value>
}

/**
 * Shares one call among all waiters: one that leaves fails no other, the last one aborts the call, and an error goes to
 * all. Nothing is cached: a caller after the answer starts a new call.
 *
 * @throws ConfigError with the option, the expected and the given value
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
  const alive = keepAlive()
  return {
    load(key, { signal, deadline = '10s' } = {}) {
      const until = clock.monotonic() + milliseconds(name, 'deadline', deadline)
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      return alive(share({ ...ask, refresh: false }))
    },
  }
}
