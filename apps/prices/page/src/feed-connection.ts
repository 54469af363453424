import type { Level, ServerMessage } from '@weir/protocol'

/** What a connection needs of the world, handed in so that its waiting can be tested without waiting. */
export interface FeedPorts {
  /** Opens a stream of server-sent events. Events arrive with their type and their data, still as text. */
  open(url: string, hear: StreamEars): { close(): void }
  /** Milliseconds, of any origin. */
  now(): number
  /** Runs `task` once after `milliseconds`, unless the returned function is called before. */
  after(milliseconds: number, task: () => void): () => void
  /** From 0 up to 1. */
  random(): number
}

export interface StreamEars {
  event(type: string, data: string): void
  /** The stream ended or could not be had. */
  failed(): void
}

/** Where a connection stands. `since` and `retryAt` are by the ports' clock. */
export type ConnectionState =
  | { readonly phase: 'connecting'; readonly lostAt: number | undefined }
  | { readonly phase: 'open'; readonly heartbeat: number; readonly level: Level }
  | { readonly phase: 'waiting'; readonly lostAt: number; readonly retryAt: number }

interface Listener {
  message(message: ServerMessage): void
  state(state: ConnectionState): void
}

// How long to wait for the first word, before the server has said how often it speaks.
const FIRST_WORD = 10_000
const SHORTEST_CAP = 500
const LONGEST_CAP = 15_000
// A connection that dies younger than this counts as another failure, or a server that greets and drops is hammered.
const SETTLED = 5_000
// What the protocol says every stream's events are; others come from a newer server and are passed over.
const TYPES: ReadonlySet<string> = new Set(['hello', 'snapshot', 'absent', 'heartbeat', 'level', 'error', 'goodbye'])

/**
 * One stream of server-sent events, kept alive: it counts two heartbeats of silence as a loss and comes back by itself,
 * after a random pause that grows with each failure, until it is closed.
 */
export class FeedConnection {
  readonly #url: string
  readonly #ports: FeedPorts
  readonly #listener: Listener
  #state: ConnectionState = { phase: 'connecting', lostAt: undefined }
  #stream: { close(): void } | undefined
  #cancelTimer: () => void = () => {}
  #attempt = 0
  #failures = 0
  #openedAt: number | undefined
  #closed = false

  constructor(url: string, ports: FeedPorts, listener: Listener) {
    this.#url = url
    this.#ports = ports
    this.#listener = listener
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Opens the stream. Apart from the constructor, so that a listener never hears of a connection it can't name yet. */
  start(): void {
    this.#connect()
  }

  /** Cuts a pause between two tries short; does nothing otherwise. */
  retryNow(): void {
    if (!this.#closed && this.#state.phase === 'waiting') this.#connect()
  }

  /** Ends it for good. The listener hears nothing more. */
  close(): void {
    this.#closed = true
    this.#cancelTimer()
    this.#stream?.close()
  }

  #connect(): void {
    const lostAt = this.#state.phase === 'open' ? undefined : this.#state.lostAt
    this.#openedAt = undefined
    this.#enter({ phase: 'connecting', lostAt })
    this.#limitSilence(FIRST_WORD)
    // A stream that was given up may still have events on their way here: they are not this attempt's.
    this.#attempt += 1
    const attempt = this.#attempt
    this.#stream = this.#ports.open(this.#url, {
      event: (type, data) => {
        if (attempt === this.#attempt && !this.#closed) this.#hear(type, data)
      },
      failed: () => {
        if (attempt === this.#attempt && !this.#closed) this.#lose(undefined)
      },
    })
  }

  #hear(type: string, data: string): void {
    const message = readMessage(type, data)
    if (message === undefined) return
    if (message.type === 'hello') {
      this.#openedAt = this.#ports.now()
      this.#enter({ phase: 'open', heartbeat: message.heartbeat, level: message.level })
    } else if ('level' in message && this.#state.phase === 'open' && message.level !== this.#state.level) {
      this.#enter({ ...this.#state, level: message.level })
    }
    if (this.#state.phase === 'open') this.#limitSilence(2 * this.#state.heartbeat)
    this.#listener.message(message)
    if (message.type === 'goodbye') this.#lose(message.retry)
  }

  #lose(pause: number | undefined): void {
    const now = this.#ports.now()
    const settled = this.#openedAt !== undefined && now - this.#openedAt >= SETTLED
    if (settled) this.#failures = 0
    this.#attempt += 1
    this.#stream?.close()
    const lostAt = this.#state.phase === 'open' ? now : (this.#state.lostAt ?? now)
    const wait = pause ?? backoff(this.#failures, this.#ports.random())
    this.#failures += 1
    this.#cancelTimer()
    this.#cancelTimer = this.#ports.after(wait, () => this.#connect())
    this.#enter({ phase: 'waiting', lostAt, retryAt: now + wait })
  }

  #limitSilence(milliseconds: number): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#ports.after(milliseconds, () => this.#lose(undefined))
  }

  #enter(state: ConnectionState): void {
    this.#state = state
    this.#listener.state(state)
  }
}

/** Full jitter: anything from nothing up to a cap that doubles with each failure, in milliseconds. */
export function backoff(failures: number, random: number): number {
  return random * Math.min(LONGEST_CAP, SHORTEST_CAP * 2 ** failures)
}

/** A stream's event as a message; undefined when it is none of the protocol's, or not JSON. */
export function readMessage(type: string, data: string): ServerMessage | undefined {
  if (!TYPES.has(type)) return undefined
  try {
    const fields: unknown = JSON.parse(data)
    // The types promise what PROTOCOL.md says; values inside a snapshot are checked by whoever shows them.
    return typeof fields === 'object' && fields !== null ? ({ ...fields, type } as ServerMessage) : undefined
  } catch {
    return undefined
  }
}
