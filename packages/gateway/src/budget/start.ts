import type { RequestHistory } from '../call.ts'
import type { Priority } from '../events.ts'
import type { RateLimitSignal } from '../rate-limit-signal.ts'

/** Something that wants to start within the budget. */
export interface Start {
  readonly priority: Priority
  readonly client: string
  readonly cost: number
  readonly lane?: string
  /** Bounds how many like it may run at once; by default nothing does. */
  readonly history?: RequestHistory
  /** Moment on the monotonic clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** Calls the listener when it becomes more urgent. Returns how to stop that. */
  readonly onRaise?: (listener: (priority: Priority) => void) => () => void
}

/** Leave to start, to be given back when the call is over. */
export interface Started {
  /** The index of the API key to use. */
  readonly key: number
  /** Calls of its caller hang: it must share no call with others. */
  readonly alone: boolean
  /** The call is over. `cost`: its true cost. `arrived` false: no answer came, and the call may still be on its way. */
  end(outcome?: { readonly cost?: number; readonly arrived?: boolean }): void
  /** Applies what an answer said of the limits. */
  apply(signal: RateLimitSignal): void
}
