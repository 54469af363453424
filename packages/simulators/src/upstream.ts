import type { IncomingHttpHeaders } from 'node:http'
import type { Outcome } from './tally.ts'

/** A request when it has arrived; its body, if any, is still to be read. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** When it arrived, milliseconds by the monotonic clock. */
  readonly at: number
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the upstream decided on arrival. */
export interface Admission {
  readonly outcome: Outcome
  /** Whose limits it was counted against; undefined when nobody's. */
  readonly organisation: string | undefined
  /** The answer when it is not let in. */
  readonly refusal?: Answer
  /** For the answer when it is: what the upstream says of its limits. */
  readonly standing: Readonly<Record<string, string>>
}

/** A refusal on demand. */
export interface StatusFault<Status extends string> {
  readonly kind: Status
  /** When it is over, by the monotonic clock, where that is known. */
  readonly until: number | undefined
}

/** What a simulator of an HTTP upstream is made of; `HttpSimulator` does the rest. */
export interface Upstream<Status extends string> {
  readonly name: string
  /** The kinds of fault on demand that this upstream answers in words of its own. */
  readonly statusFaults: readonly Status[]
  /** Method and path when it is one of the upstream's few, else `other`: calls are counted by it. */
  route(call: Call): string
  /** Counts the arrival against its limits. Called once per call, in the order of arrival. */
  admit(call: Call, fault: StatusFault<Status> | undefined): Admission
  /** The answer to a call that was let in. */
  answer(call: Call, body: string, admission: Admission): Answer
  /** The answer to a call whose body is larger than is read. */
  tooLarge(): Answer
  /** As if just started, at this time by the monotonic clock. */
  reset(at: number): void
}
