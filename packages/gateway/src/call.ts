import type { WeirError } from './errors.ts'
import type { Priority } from './events.ts'

/** The longest accepted request target, in characters. */
export const LONGEST_ADDRESS = 32_768

/**
 * A host with an optional port (RFC 9110, 7.2; RFC 3986, 3.2.2), or an empty string. Other characters would change the
 * URL that the host becomes part of.
 */
export const HOST = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i

/** A request, independent of the server that received it. It is plain data, so a cached read allocates nothing else. */
export interface Call {
  readonly method: string
  /** The request target as received: path and query, percent-encoded. */
  readonly url: string
  /** The path, percent-encoded. */
  readonly path: string
  /** The text after `?`, or ''. */
  readonly query: string
  /** A header by its lower-case name. Repeated headers are joined by commas (RFC 9110, 5.3). */
  header(name: string): string | undefined
  /** All headers, for code that forwards them. */
  headers(): Iterable<readonly [name: string, value: string]>
  /** The IP address of the peer. */
  readonly remote: string
  /** Why the runtime refuses the request, if it is malformed. */
  readonly fault?: WeirError | undefined
  /** The caller, if the route needs one and the app's `identify` names one. */
  identity: Identity | undefined
  /**
   * Reads the body, at most `limit` bytes.
   *
   * @throws WeirError `body_too_large`
   */
  body(limit: number): Promise<Uint8Array>
  /** Aborted when the client disconnects. Created on first use. */
  readonly signal: AbortSignal
  /** Sends an informational response (RFC 9110, 15.2), if the runtime can. */
  inform?(status: number, fields: Readonly<Record<string, string>>): void
}

/** The caller that an app's `identify` returns. */
export interface Identity {
  readonly tenant?: string
  readonly user?: string
  /**
   * When the identity expires: a Date, or milliseconds since 1970. A live connection is then closed with the code
   * `credential_expired`. An identity that has already expired counts as none.
   */
  readonly expires?: Date | number
}

/** Headers by their lower-case names. Only headers that cannot be joined by commas are lists. */
export type AnswerHeaders = Record<string, string | string[]>

/** An answer with its whole body, or with a stream of bytes. */
export interface WholeAnswer {
  readonly kind: 'whole'
  readonly status: number
  readonly headers: AnswerHeaders
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | null
}

/**
 * An answer that stays open: its head is sent immediately, then `open` gets the connection. Only whole HTTP/1.1 chunks
 * are written to the connection; a runtime without chunked encoding removes the frames.
 */
export interface LiveAnswer {
  readonly kind: 'live'
  readonly headers: AnswerHeaders
  /** Called once, after the head is sent. */
  open(connection: Connection): void
}

/** An answer that upgrades the connection to a WebSocket (RFC 6455), if the runtime can. */
export interface SocketAnswer {
  readonly kind: 'socket'
  /** The subprotocol, chosen from those that the client offered (RFC 6455, 1.9). */
  readonly protocol?: string
  /** Called once, after the handshake is sent. */
  open(socket: MessageSocket): void
}

export type Answer = WholeAnswer | LiveAnswer | SocketAnswer

/** A live connection as transports see it. Runtimes implement it. */
export interface Connection {
  /** Writes bytes to the network. Returns false if the peer lags; `drained` follows once it has caught up. */
  write(bytes: Uint8Array): boolean
  /** Writes between `cork` and `uncork` are sent together, if the runtime can. */
  cork(): void
  uncork(): void
  /** False if written bytes may still be buffered. */
  readonly flows?: boolean
  /** Bytes that are buffered for the peer. */
  readonly waiting: number
  /** Closes the connection after the written bytes are sent. */
  close(): void
  /** Receives drain and close. Set by `open`. */
  owner: ConnectionOwner | undefined
}

/** A WebSocket as transports see it. `write` takes whole frames, and none after `end`. */
export interface MessageSocket extends Connection {
  /** Whether the peer accepts compressed messages. */
  readonly deflates: boolean
  /** Closes the socket with a code. A peer that does not answer is disconnected. */
  end(code: number, reason: string): void
  /** Receives the peer's messages. Set by `open`. */
  reader: MessageReader | undefined
}

/** Receives the messages of a peer. */
export interface MessageReader {
  message(text: string): void
  binary(): void
  ping(data: Uint8Array): void
  pong(): void
}

export interface ConnectionOwner {
  drained(): void
  /** The peer disconnected, or this side closed. Called once. */
  closed(): void
}

/** A value, or a promise of one. A cached read returns the value itself, so it allocates no promise. */
export type MaybePromise<T> = T | Promise<T>

/** Answers a call. */
export type Handler = (call: Call) => MaybePromise<Answer>

/** The priority of shared work: that of its most urgent waiter, including waiters that join later. */
export class Urgency {
  #priority: Priority
  readonly #listeners = new Set<(priority: Priority) => void>()

  constructor(priority: Priority) {
    this.#priority = priority
  }

  get priority(): Priority {
    return this.#priority
  }

  /** Raises the priority. A lower priority has no effect. */
  raise(priority: Priority): void {
    if (RANK[priority] >= RANK[this.#priority]) return
    this.#priority = priority
    for (const listener of this.#listeners) listener(priority)
  }

  /** Calls `listener` on each raise. Returns a function that unsubscribes it. */
  onRaise(listener: (priority: Priority) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

const RANK: Readonly<Record<Priority, number>> = { interactive: 0, live: 1, background: 2 }

/** One read of a key: its urgency, deadline and client. */
export interface Ask {
  readonly topic: string
  readonly key: unknown
  /** The caller, for private values. The topic contains the caller's identity. */
  readonly identity?: Identity | undefined
  readonly priority: Priority
  /** Set below a flight, where one ask serves many waiters. */
  readonly urgency?: Urgency
  /** The unit of fairness: a client's address, a poller, a job. */
  readonly client: string
  /** The moment after which the answer is useless, on the monotonic clock. */
  readonly deadline: number
  /** Aborted when no waiter is left. */
  readonly signal: AbortSignal | undefined
  /** Bypasses cached values and fetches the current one. */
  readonly refresh: boolean
}

/** Earlier results of the same request. */
export interface RequestHistory {
  /** Identifies the request. Equal requests have equal keys. */
  readonly key: string
  /** Whether the request had an answer recently. */
  readonly answerable: boolean
}

/** One request to an upstream, on its way down through attempt, budget and pool. */
export interface UpstreamRequest {
  readonly method: string
  /** Path and query, joined to the upstream's address. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string | undefined
  readonly priority: Priority
  /** Notifies when a more urgent waiter joins. */
  readonly urgency?: Urgency
  readonly client: string
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** The cost in the unit of the limits; 1 if the upstream counts calls. */
  readonly cost: number
  /** Never batched, because a batch with this request failed. */
  readonly alone?: boolean
  /** The actual cost, computed from the answer. By default the estimate stands. */
  readonly costOf?: (answer: UpstreamAnswer) => number
  /** A group of calls that the upstream limits separately, such as a method. */
  readonly lane?: string
  /** A group of requests that fail alike, such as a feed. By default the lane, or the method and path. */
  readonly operation?: string
  /** Identifies the request if its body also has parts that do not matter, such as an id. */
  readonly key?: string
  /** Set by `attempt`, which remembers requests. */
  readonly history?: RequestHistory
  /**
   * Throws `upstream_invalid` if a successful answer cannot be read. Another provider is then tried, and the answer is
   * not cached.
   */
  readonly check?: (answer: UpstreamAnswer) => Promise<unknown>
  /** The last answer was unusable, so a 304 that confirms it would not help. */
  readonly unconditional?: boolean
  /** Whether the request may be sent twice. By default GET and HEAD may. */
  readonly repeatable?: boolean
  /** The API key, chosen by the budget. */
  readonly apiKey: string | undefined
  /** The largest answer that is buffered, in bytes. A larger one is streamed. By default every answer is buffered. */
  readonly kept?: number
  /** Failure statuses that are returned as answers once no retry is left. */
  readonly passes?: (status: number) => boolean
  /** Receives informational responses of the upstream, such as 103. */
  readonly inform?: (status: number, headers: Readonly<Record<string, string>>) => void
  /**
   * Whether a successful status hides a failure. The answer is returned, and counts neither for nor against the
   * provider.
   */
  readonly failed?: (answer: UpstreamAnswer) => boolean
}

/** A position in a growing chain. */
export interface Height {
  /** The unit, such as finalized slots. Heights with different units are not compared. */
  readonly of: string
  readonly at: number
}

/** An upstream's answer, with headers by their lower-case names. */
export interface UpstreamAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** How long the upstream asked to wait, in milliseconds. Set by the budget, which reads the rate-limit headers. */
  readonly rest?: number
  /** `rest` applies to the operation, not to the budget. Set by the budget. */
  readonly ofOperation?: boolean
  /** The upstream refused the request but another may accept it. This does not count against the upstream. */
  readonly elsewhere?: boolean
  /** Only the API key was refused, the call was not carried out, and another key is free. Set by the budget. */
  readonly otherKey?: boolean
  /** The call was not carried out because of the way it was sent. The next try sends it differently. */
  readonly unsent?: boolean
  /** The upstream's position in the chain it follows, if the answer has one. */
  readonly height?: Height
  /** Time to the first byte, in milliseconds. */
  readonly took?: number
  /** When the request was sent, on the monotonic clock. The answer may be as old as this. */
  readonly sentAt?: number
  /** `Set-Cookie` headers, one per element: they cannot be joined. */
  readonly cookies?: readonly string[]
  /** A large answer that is still arriving, if the request set `kept`. `body` is then empty. */
  readonly stream?: AnswerStream
}

/** A body that is forwarded while it arrives. Its receiver reads it to the end or cancels it. */
export interface AnswerStream {
  readonly body: ReadableStream<Uint8Array>
  /** Resolves when the call ends: read to the end, cancelled or failed. It never rejects. */
  readonly over: Promise<void>
}

/** The part of the path below a stage. */
export type Next<In, Out> = (ask: In) => Out

/** The shape of every stage: given the path below, it returns the path that begins with itself. */
export type Stage<In, Out, InBelow = In, OutBelow = Out> = (next: Next<InBelow, OutBelow>) => Next<In, Out>
