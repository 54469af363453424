import type { Problem } from '@weir/protocol'
import type { Connection, ConnectionOwner } from '../call.ts'
import type { Timer } from '../clock.ts'
import { problemOf, show, WeirError } from '../errors.ts'
import type { Listener, Wire } from '../hub/hub.ts'
import { milliseconds } from '../options.ts'
import type { SseParts } from './sse.ts'

/** How long a poll waits for a change, in milliseconds: below the 30 s after which many proxies give up. */
const WAIT = 25_000
const LONGEST_WAIT = 60_000

/** Clients of a server that closes come back spread over this many milliseconds. */
const RETRY_SPREAD = 3000

/**
 * Waits for news of a topic: what `look` finds, whenever the hub writes; undefined when the wait is over. A server that closes
 * is news too.
 *
 * @param wait milliseconds
 * @param join lets the listener join the topic
 * @returns rejects when the client is gone
 */
export function longPoll<News>(
  parts: SseParts,
  signal: AbortSignal,
  wait: number,
  look: () => News | undefined,
  join: (listener: Listener) => void,
): Promise<News | Problem | undefined> {
  const waiting = new Waiting(signal, look)
  join(parts.hub.listen(waiting, UNSAID))
  waiting.begin(parts.clock.after(wait, () => waiting.end(undefined)))
  return waiting.over
}

/** How long a client wants to wait, in milliseconds. @throws WeirError `bad_request` */
export function readWait(text: string | undefined): number {
  if (text === undefined) return WAIT
  try {
    const wait = milliseconds('', 'wait', text)
    if (wait <= LONGEST_WAIT) return wait
  } catch {
    // Said below, with what is allowed.
  }
  throw new WeirError('bad_request', `wait: expected a duration from 0s to 60s, such as 25s, got ${show(text)}`)
}

/** A poll needs no message from the hub: each write only makes it look. */
const UNSAID: Wire = { name: 'poll', encode: () => NOTHING }
const NOTHING = Buffer.alloc(0)

/** A call that waits. To the hub it is one more connection, which closes with the first news. */
class Waiting<News> implements Connection {
  owner: ConnectionOwner | undefined
  readonly waiting = 0
  readonly over: Promise<News | Problem | undefined>
  readonly #signal: AbortSignal
  readonly #look: () => News | undefined
  readonly #resolve: (news: News | Problem | undefined | Promise<never>) => void
  #timer: Timer | undefined

  constructor(signal: AbortSignal, look: () => News | undefined) {
    const { promise, resolve } = Promise.withResolvers<News | Problem | undefined>()
    this.over = promise
    this.#resolve = resolve
    this.#signal = signal
    this.#look = look
  }

  begin(timer: Timer): void {
    this.#timer = timer
    this.#signal.addEventListener('abort', this, { once: true })
    if (this.#signal.aborted) this.handleEvent()
    else this.write()
  }

  write(): boolean {
    const news = this.#look()
    if (news !== undefined) this.end(news)
    return true
  }

  end(news: News | Problem | undefined | Promise<never>): void {
    this.#timer?.stop()
    this.#signal.removeEventListener('abort', this)
    this.owner?.closed()
    this.owner = undefined
    this.#resolve(news)
  }

  /** The client has left, so the answer has no reader. */
  handleEvent(): void {
    this.end(Promise.reject(this.#signal.reason))
  }

  /** The server closes. */
  close(): void {
    const retryAfter = Math.ceil(Math.random() * RETRY_SPREAD)
    this.end(problemOf(new WeirError('draining', 'This server is going away; another takes over.', { retryAfter })))
  }

  cork(): void {}

  uncork(): void {}
}
