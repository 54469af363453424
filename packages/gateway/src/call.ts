import type { WeirError } from './errors.ts'
import type { Priority } from './events.ts'

/** Characters of the longest address that is read. */
export const LONGEST_ADDRESS = 32_768

/** A host with or without a port (RFC 9110, 7.2; RFC 3986, 3.2.2), or nothing. Anything else would change the address it is put into. */
export const HOST = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d{0,5})?$/i

/** A request, whatever server took it: plain data, so that a cached read builds nothing else. */
export interface Call {
  readonly method: string
  /** The address as it came: path and query, still percent-encoded. */
  readonly url: string
  /** The path alone, still percent-encoded. */
  readonly path: string
  /** What follows `?`, or ''. */
  readonly query: string
  /** A header by its lower-case name; repeated ones are joined as HTTP says. */
  header(name: string): string | undefined
  /** All headers, for those who must pass them on. */
  headers(): Iterable<readonly [name: string, value: string]>
  /** The address of the peer. */
  readonly remote: string
  /** Why the request itself is refused, where the runtime found it malformed. */
  readonly fault?: WeirError | undefined
  /** Who calls, where an address wants to know and the app can say. */
  identity: Identity | undefined
  /**
   * The body, at most `limit` bytes.
   *
   * @throws WeirError `body_too_large`
   */
  body(limit: number): Promise<Uint8Array>
  /** Aborted when the client is gone. Made on first use. */
  readonly signal: AbortSignal
  /** Tells the client something before its answer (RFC 9110, 15.2), where the runtime can. */
  inform?(status: number, fields: Readonly<Record<string, string>>): void
}

/** Who calls, as an app's `identify` says. */
export interface Identity {
  readonly tenant?: string
  readonly user?: string
  /**
   * Until when that holds: a Date, or milliseconds since 1970. A live connection ends then with the code `credential_expired`, and an identity
   * that has expired counts as none.
   */
  readonly expires?: Date | number
}

/** Headers by their lower-case names; only those that can't be joined by commas are lists. */
export type AnswerHeaders = Record<string, string | string[]>

/** An answer that is whole, or a stream of bytes. */
export interface WholeAnswer {
  readonly kind: 'whole'
  readonly status: number
  readonly headers: AnswerHeaders
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | null
}

/**
 * An answer that goes on: its head is sent at once, then `open` gets the connection. What is written to it are whole chunks of
 * HTTP/1.1; a runtime whose connection takes none removes their frames.
 */
export interface LiveAnswer {
  readonly kind: 'live'
  readonly headers: AnswerHeaders
  /** Called once, when the head is on its way. */
  open(connection: Connection): void
}

/** An answer that makes the connection a WebSocket (RFC 6455), where the runtime can. */
export interface SocketAnswer {
  readonly kind: 'socket'
  /** The subprotocol that is spoken, of those that the client named (RFC 6455, 1.9). */
  readonly protocol?: string
  /** Called once, when the handshake is on its way. */
  open(socket: MessageSocket): void
}

export type Answer = WholeAnswer | LiveAnswer | SocketAnswer

/** A live connection as transports see it; a runtime makes them. */
export interface Connection {
  /** Hands bytes to the network. False: the peer lags, and `drained` follows when it has caught up. */
  write(bytes: Uint8Array): boolean
  /** Between these, writes leave together, where the runtime can. */
  cork(): void
  uncork(): void
  /** False: something that was written may be waiting. */
  readonly flows?: boolean
  /** Bytes that wait for the peer. */
  readonly waiting: number
  /** Ends it: what is written leaves first. */
  close(): void
  /** Who is told of drain and close. Set by `open`. */
  owner: ConnectionOwner | undefined
}

/** A WebSocket as transports see it. `write` takes whole frames; after `end` it takes none. */
export interface MessageSocket extends Connection {
  /** Whether the peer takes compressed messages. */
  readonly deflates: boolean
  /** Closes it with a code; a peer that does not answer is cut off. */
  end(code: number, reason: string): void
  /** Who is told of what the peer says. Set by `open`. */
  reader: MessageReader | undefined
}

/** Who hears what a peer says. */
export interface MessageReader {
  message(text: string): void
  binary(): void
  ping(data: Uint8Array): void
  pong(): void
}

export interface ConnectionOwner {
  drained(): void
  /** The peer is gone, or we closed; called once. */
  closed(): void
}

/** Something now, or soon. A cached read answers now: no promise is made for it. */
export type MaybePromise<T> = T | Promise<T>

/** What a site does with a call. */
export type Handler = (call: Call) => MaybePromise<Answer>

/** How urgent something shared is: as urgent as the most urgent of those who wait for it, also of those who join later. */
export class Urgency {
  #priority: Priority
  readonly #heard = new Set<(priority: Priority) => void>()

  constructor(priority: Priority) {
    this.#priority = priority
  }

  get priority(): Priority {
    return this.#priority
  }

  /** Makes it more urgent; less is never asked for. */
  raise(priority: Priority): void {
    if (RANK[priority] >= RANK[this.#priority]) return
    this.#priority = priority
    for (const listener of this.#heard) listener(priority)
  }

  /** Calls `listener` when it is raised; the answer stops that. */
  onRaise(listener: (priority: Priority) => void): () => void {
    this.#heard.add(listener)
    return () => this.#heard.delete(listener)
  }
}

const RANK: Readonly<Record<Priority, number>> = { interactive: 0, live: 1, background: 2 }

/** One ask on the read path: which key, how urgent, until when, for whom. */
export interface Ask {
  readonly topic: string
  readonly key: unknown
  /** On whose behalf, for values that are not everybody's: their topic says whose they are. */
  readonly identity?: Identity | undefined
  readonly priority: Priority
  /** Set below a flight, where one ask stands for many. */
  readonly urgency?: Urgency
  /** Whom fairness counts: a client's address, a poller, a job. */
  readonly client: string
  /** Moment on the monotonic clock after which the answer is of no use. */
  readonly deadline: number
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal | undefined
  /** Asks for what the upstream has now, whatever is kept. */
  readonly refresh: boolean
}

/** What is known of a request from before. */
export interface RequestHistory {
  /** What it asks for: requests that ask for the same have the same key. */
  readonly key: string
  /** Whether it had an answer lately. */
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
  /** Tells when those who wait become more urgent. */
  readonly urgency?: Urgency
  readonly client: string
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** What it costs; 1 where the upstream counts calls. */
  readonly cost: number
  /** It shares no call with others: one that it shared failed. */
  readonly alone?: boolean
  /** What it cost in truth, once its answer is there; by default what was thought. */
  readonly costOf?: (answer: UpstreamAnswer) => number
  /** What the upstream counts apart, such as a method. */
  readonly lane?: string
  /** What it is one of, such as a feed: requests of one operation fail alike. By default its lane, or its method and path. */
  readonly operation?: string
  /** What it asks for, where its body says more than that, such as an id. */
  readonly key?: string
  /** Set by attempt, which remembers requests. */
  readonly history?: RequestHistory
  /**
   * Throws `upstream_invalid` when an answer of success can't be read: another provider is then asked, and it is not kept.
   */
  readonly check?: (answer: UpstreamAnswer) => Promise<unknown>
  /** What was answered last could not be used: that it is unchanged would be no news. */
  readonly unconditional?: boolean
  /** Whether it may be sent twice; by default GET and HEAD may. */
  readonly repeatable?: boolean
  /** The API key to use; the budget chooses it. */
  readonly apiKey: string | undefined
  /** Bytes up to which an answer is taken whole; a larger one comes as a stream. By default all are whole. */
  readonly kept?: number
  /** Statuses that are handed over though they are failures, once no other try is left. */
  readonly passes?: (status: number) => boolean
  /** Hears what the upstream says before it answers: 102, 103. */
  readonly inform?: (status: number, headers: Readonly<Record<string, string>>) => void
  /** Whether an answer of success is none in truth; it is handed over, and counts neither for nor against the provider. */
  readonly failed?: (answer: UpstreamAnswer) => boolean
}

/** A place in a chain that grows. */
export interface Height {
  /** What is counted, such as slots that are final: heights are compared only where this is the same. */
  readonly of: string
  readonly at: number
}

/** What an upstream answered, headers by their lower-case names. */
export interface UpstreamAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Milliseconds for which it asked us to rest, where it refused; set by the budget, which reads its words. */
  readonly rest?: number
  /** `rest` is of what was asked for, and not of the budget; set by the budget. */
  readonly ofOperation?: boolean
  /** It refused what was asked, another may not, and that says nothing against it. */
  readonly elsewhere?: boolean
  /** It was refused for its API key alone, was not carried out, and another key is free; set by the budget. */
  readonly otherKey?: boolean
  /** It was not carried out for how we sent it, which the next try does otherwise. */
  readonly unsent?: boolean
  /** How far the upstream was when it answered, where it follows a chain and says so. */
  readonly height?: Height
  /** Milliseconds that it took to begin. */
  readonly took?: number
  /** When its request left for the upstream, on the monotonic clock: what it says may be as old as that. */
  readonly sentAt?: number
  /** The cookies it sets, each by itself: they can't be joined. */
  readonly cookies?: readonly string[]
  /** A large answer on its way, where its request said what it keeps; `body` is empty then. */
  readonly stream?: AnswerStream
}

/** The body of an answer that is handed on while it comes. Whoever gets it reads it to its end or cancels it. */
export interface AnswerStream {
  readonly body: ReadableStream<Uint8Array>
  /** Settles when the call is over: read to its end, cancelled or failed. It never rejects. */
  readonly over: Promise<void>
}

/** The rest of the path below a stage. */
export type Next<In, Out> = (ask: In) => Out

/** Every stage has this one shape: given what is below, it makes the path from itself down. */
export type Stage<In, Out, InBelow = In, OutBelow = Out> = (next: Next<InBelow, OutBelow>) => Next<In, Out>
