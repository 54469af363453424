import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'

/**
 * Runs a user's function until a moment on the monotonic clock: then its signal is aborted, and nobody waits for it any longer.
 *
 * @throws WeirError `upstream_timeout` at that moment
 */
export async function untilDeadline<Result>(
  name: string,
  clock: Clock,
  deadline: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const late = new AbortController()
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = clock.after(deadline - clock.monotonic(), () => {
    const error = new WeirError('upstream_timeout', `${name}: expected an end before the deadline, got none`)
    late.abort(error)
    reject(error)
  })
  try {
    return await Promise.race([
      work(signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])),
      promise,
    ])
  } finally {
    timer.stop()
  }
}
