import type { Clock } from '../clock.ts'
import { WeirError } from '../errors.ts'

/**
 * Runs a user's function with a deadline on the monotonic clock. At the deadline its signal aborts and the promise rejects.
 *
 * @throws WeirError `upstream_timeout` at the deadline
 */
export async function untilDeadline<Result>(
  name: string,
  clock: Clock,
  deadline: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController()
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = clock.after(deadline - clock.monotonic(), () => {
    const error = new WeirError('upstream_timeout', `${name}: expected a result before the deadline, got none`)
    controller.abort(error)
    reject(error)
  })
  try {
    return await Promise.race([
      work(signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal])),
      promise,
    ])
  } finally {
    timer.stop()
  }
}
