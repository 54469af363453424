import { compareVersions, type Problem, type Version } from '@weir/protocol'
import type { Answer, Call, Connection, ConnectionOwner, Soon } from '../call.ts'
import type { Timer } from '../clock.ts'
import { Entry } from '../entry.ts'
import { problemOf, show, WeirError } from '../errors.ts'
import type { Channel, Listener, Wire } from '../hub/hub.ts'
import { milliseconds } from '../options.ts'
import type { LiveFeed } from '../topic/live-feed.ts'
import { answerOf } from './problem.ts'
import { inBand, whole } from './snapshot.ts'
import { readVersion, type SseParts } from './sse.ts'

/** How long a poll waits for a change, in milliseconds: below the 30 s after which many proxies give up. */
const WAIT = 25_000
const LONGEST_WAIT = 60_000

/** Those whom a server that goes sends away come back spread over so many milliseconds. */
const RETRY_SPREAD = 3000

export interface PollParts extends SseParts {
  /** Takes in a connection that stays. @throws WeirError `full` */
  hold(): void
}

/**
 * Answers when a feed's value is newer than what the client has: its JSON at once when it is, 204 when the wait is over.
 *
 * @throws WeirError `bad_version`, `bad_request`, `bad_key`, `full`
 */
export function poll(
  parts: PollParts,
  feed: LiveFeed,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): Soon<Answer> {
  const query = new URLSearchParams(call.query)
  const after = readVersion('after', query.get('after') ?? undefined)
  const wait = readWait(query.get('wait') ?? undefined)
  const readKey = feed.keyOf(parameters, call.query, call.identity)

  function answer(news: News, latest?: Entry): Answer {
    if (news instanceof Entry) return whole(call, news, inBand(parts, feed, news))
    const headers = inBand(parts, feed, latest)
    if (news !== undefined) return answerOf(news, headers)
    return { kind: 'whole', status: 204, headers, body: null }
  }

  if (after === undefined) {
    const entry = feed.read(readKey, { client: call.remote, signal: call.signal })
    return entry instanceof Promise ? entry.then((entry) => answer(entry)) : answer(entry)
  }
  parts.hold()
  const waiting = new Waiting(after, call.signal)
  const listener = parts.hub.listen(waiting, UNSAID)
  feed.watch(listener, readKey, after)
  waiting.begin(
    listener,
    parts.clock.after(wait, () => waiting.end(undefined)),
  )
  return waiting.over.then((news) => answer(news, waiting.latest))
}

/** What ends a poll: a newer entry, why there is none, or neither in time. */
type News = Entry | Problem | undefined

/** A poll needs no words from the hub: that something is said makes it look. */
const UNSAID: Wire = { name: 'poll', encode: () => NOTHING }
const NOTHING = Buffer.alloc(0)

/** A call that waits. To the hub it is one more connection, which closes with the first news. */
class Waiting implements Connection {
  owner: ConnectionOwner | undefined
  readonly waiting = 0
  readonly over: Promise<News>
  readonly #after: Version
  readonly #signal: AbortSignal
  readonly #resolve: (news: News | Promise<never>) => void
  #channel: Channel | undefined
  #timer: Timer | undefined

  constructor(after: Version, signal: AbortSignal) {
    const { promise, resolve } = Promise.withResolvers<News>()
    this.over = promise
    this.#resolve = resolve
    this.#after = after
    this.#signal = signal
  }

  get latest(): Entry | undefined {
    return this.#channel?.latest
  }

  begin({ channels }: Listener, timer: Timer): void {
    this.#channel = channels[0]
    this.#timer = timer
    this.#signal.addEventListener('abort', this, { once: true })
    if (this.#signal.aborted) this.handleEvent()
    else this.write()
  }

  write(): boolean {
    const { latest } = this
    const failure = this.#channel?.failure?.subject
    if (latest === undefined) {
      if (failure !== undefined && 'problem' in failure) this.end(failure.problem)
    } else if (compareVersions(latest.version, this.#after) > 0) this.end(latest)
    return true
  }

  end(news: News | Promise<never>): void {
    this.#timer?.stop()
    this.#signal.removeEventListener('abort', this)
    this.owner?.closed()
    this.owner = undefined
    this.#resolve(news)
  }

  /** The client is gone, and nobody reads the answer. */
  handleEvent(): void {
    this.end(Promise.reject(this.#signal.reason))
  }

  /** The server goes. */
  close(): void {
    const retryAfter = Math.ceil(Math.random() * RETRY_SPREAD)
    this.end(problemOf(new WeirError('draining', 'This server is going away; another takes over.', { retryAfter })))
  }

  cork(): void {}

  uncork(): void {}
}

function readWait(text: string | undefined): number {
  if (text === undefined) return WAIT
  try {
    const wait = milliseconds('', 'wait', text)
    if (wait <= LONGEST_WAIT) return wait
  } catch {
    // Said below, with what is allowed.
  }
  throw new WeirError('bad_request', `wait: expected a duration from 0s to 60s, such as 25s, got ${show(text)}`)
}
