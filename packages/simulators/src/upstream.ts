import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Outcome } from './tally.ts'

/** A request when all of it has arrived. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** Empty when there is none, and when it is larger than is read. */
  readonly body: string
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
  /** Milliseconds until it is over; a second where nobody has said. */
  readonly lasts: number
  /** How far the upstream lies back, in its own unit; undefined when nobody has said. */
  readonly slots: number | undefined
  /** How the paths begin that it is limited to; `/` for all. */
  readonly path: string
}

/** What a simulator of an HTTP upstream is made of; `HttpSimulator` does the rest. */
export interface Upstream<Status extends string> {
  readonly name: string
  /** The kinds of fault on demand that this upstream answers in words of its own. */
  readonly statusFaults: readonly Status[]
  /**
   * The calls in a request, one unless it is a batch. Each is named by method and path when it is one of the upstream's
   * few, else `other`, and is counted by that name.
   */
  routes(call: Call): readonly string[]
  /** Whether a kind of fault concerns this call at all; without it, each concerns all. */
  meets?(kind: string, call: Call): boolean
  /** Its WebSockets, on the same port. */
  readonly sockets?: Sockets
  /** Counts the arrival against its limits. Called once per request, in the order of arrival. */
  admit(call: Call, fault: StatusFault<Status> | undefined): Admission
  /** The answer to a call that was let in. */
  answer(call: Call, admission: Admission): Answer
  /** The answer to a call whose body is larger than is read. */
  tooLarge(): Answer
  /** Numbers that only this upstream has; they are shown with the counts. */
  gauges?(): Readonly<Record<string, number>>
  /** As if just started, at this time by the monotonic clock. */
  reset(at: number): void
}

/** The WebSockets of an upstream. */
export interface Sockets {
  /** The kind of fault that cuts every connection when it is set, and each handshake for as long as it lasts. */
  readonly fault: string
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Cuts every connection, without a closing handshake. */
  cut(): void
}
