import type { Emit } from '../events.ts'

/**
 * Handles faults of an app's code outside any request. An unhandled rejection is logged and the process keeps serving. After an
 * uncaught exception, such as one thrown in a timer, no state can be trusted, so `leave` shuts the process down gracefully.
 */
export function watchFaults(log: Emit, leave: () => void): void {
  process.on('unhandledRejection', (error) => log({ type: 'failed', where: 'unhandled rejection', error }))
  process.on('uncaughtException', (error) => {
    log({ type: 'failed', where: 'uncaught exception; this process is shutting down', error })
    leave()
  })
}
