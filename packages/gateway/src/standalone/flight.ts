import { type Clock, keepAlive, systemClock } from '../clock.ts'
import type { Emit } from '../events.ts'
import { singleFlight } from '../flight/single-flight.ts'
import { FLIGHT_OPTIONS } from '../options/standalone.ts'
import { type Duration, milliseconds, readOptions } from '../options.ts'
import { untilDeadline } from '../standalone/deadline.ts'

/** What `createFlight()` takes. */
export interface FlightOptions<Value> {
  /** Makes the call for a key. `signal` is aborted when nobody waits any more. */
  load(key: string, signal: AbortSignal): Promise<Value>
  /** What it is called in errors and events. */
  readonly name?: string
  readonly clock?: Clock
  readonly observe?: Emit
}

/** Makes one call for all who wait for the same key. */
export interface Flight<Value> {
  /**
   * The value of a key: from the call that is under way, or from one that is made now. `deadline`: `'10s'` by default.
   *
   * @throws what `load` threw, to all who wait; `upstream_timeout` at the deadline; the signal's reason when it was aborted
   */
  load(key: string, options?: { readonly signal?: AbortSignal; readonly deadline?: Duration }): Promise<Value>
}

/**
 * One call for all who wait: one leaving fails nobody, the last leaving aborts the call, an error is an error for all. Nothing is
 * kept: who comes after the answer makes a new call.
 *
 * @throws ConfigError naming the option, what was expected and what came
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
  const awaited = keepAlive()
  return {
    load(key, { signal, deadline = '10s' } = {}) {
      const until = clock.monotonic() + milliseconds(name, 'deadline', deadline)
      const ask = { topic: key, key, priority: 'interactive', client: '', deadline: until, signal } as const
      return awaited(share({ ...ask, refresh: false }))
    },
  }
}
