import type { Emit } from '../events.ts'

/**
 * Faults of an app's own code outside any call. A rejected promise that nothing handles is logged, and the service goes on. After
 * an exception that nothing caught, such as one thrown in a timer, no state can be trusted: `leave` ends this process in good order.
 */
export function watchFaults(log: Emit, leave: () => void): void {
  process.on('unhandledRejection', (error) => log({ type: 'failed', where: 'a promise that nothing handles', error }))
  process.on('uncaughtException', (error) => {
    log({ type: 'failed', where: 'code outside any call; this process ends', error })
    leave()
  })
}
