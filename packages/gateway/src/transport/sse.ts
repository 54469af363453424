import type { Failure, Hello, Level, Version } from '@weir/protocol'
import type { AnswerHeaders, Call, LiveAnswer } from '../call.ts'
import { chunk } from '../chunk.ts'
import type { Clock } from '../clock.ts'
import { accepts, WORTH_IT } from '../compress.ts'
import { Entry } from '../entry.ts'
import type { Hub, Listener, Notice, Wire } from '../hub/hub.ts'
import { LoggedEvent } from '../topic/log/logged-event.ts'
import { readVersion } from '../topic/version.ts'
import { callerOf } from './credential.ts'
import { entryFields } from './entry-fields.ts'
import { GZIP_HEAD, gzipPiece } from './gzip.ts'
import type { Topic } from './topics.ts'

/** Messages as server-sent events: `event` is the type, `id` the version, `data` the rest. */
const PLAIN: Wire = { name: 'sse', encode: (subject) => chunk(Buffer.from(eventOf(subject))) }

/** The same, each compressed once for all connections. */
const GZIPPED: Wire = { name: 'sse-gzip', encode: (subject) => chunk(gzipPiece(eventOf(subject))) }

/** A herd that lost its server together comes back spread over this many milliseconds. */
const RETRY_FROM = 1000
const RETRY_SPREAD = 2000

const HEADERS: AnswerHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  // nginx would hold events back until its buffer is full.
  'x-accel-buffering': 'no',
  vary: 'accept, accept-encoding',
}
const GZIPPED_HEADERS: AnswerHeaders = { ...HEADERS, 'content-encoding': 'gzip' }

export interface SseParts {
  readonly hub: Hub
  readonly clock: Clock
  /** Milliseconds; sent to clients. */
  readonly heartbeat: number
  readonly level: () => Level
  /** Of which line of epochs the versions are, where it is known. */
  readonly lineage: () => string | undefined
  /** Whether streams of large events are compressed, for clients that take that. */
  readonly deflate: boolean
}

/** What comes first on every connection. */
export function helloOf({ clock, heartbeat, level, lineage }: SseParts, caller: string | undefined): Hello {
  const line = lineage()
  const whose = { ...(caller !== undefined && { caller }), ...(line !== undefined && { lineage: line }) }
  return { type: 'hello', now: clock.now(), heartbeat, level: level(), ...whose }
}

/** What a stream has to know of its client. */
export interface SseClient {
  /** Its `Accept-Encoding`. */
  readonly accepted: string | undefined
  /** Which caller it is, as `hello` says. */
  readonly caller: string | undefined
}

export function sseClient(call: Call): SseClient {
  return { accepted: call.header('accept-encoding'), caller: callerOf(call.identity) }
}

/** The version that a returning client has. @throws WeirError `bad_version` */
export function lastVersion(call: Call): Version | undefined {
  return readVersion('last-event-id', call.header('last-event-id'))
}

/**
 * Opens a stream of events. `join` lets the listener join its topics; `failed` are those that can't be had.
 *
 * A stream is compressed as a whole or not at all, and that is said in its head. Small events would only grow by it, and every
 * client would unpack them: so it is when the client takes it and the usual event is large.
 *
 * @param usual bytes of the events to come, as far as is known; Infinity for a value that is not known yet: when it
 *   turns out to be small, an event has five bytes more than it needs, and the other way round most of a large one could have been saved
 */
export function sse(
  parts: SseParts,
  { accepted, caller }: SseClient,
  usual: number,
  join: (listener: Listener) => void,
  failed: readonly Failure[] = [],
): LiveAnswer {
  const { hub, deflate } = parts
  const gzipped = deflate && usual >= WORTH_IT && accepts(accepted, 'gzip')
  const hello = () => noticeEvent(helloOf(parts, caller))
  const first = () => `${hello()}${failed.map(noticeEvent).join('')}`
  return gzipped ? eventStream(hub, GZIPPED, first, join, true) : eventStream(hub, PLAIN, first, join)
}

/**
 * The same in another format: that of `wire`, after the text `first`. `gzipped`: whether the messages of the wire are pieces of
 * a gzip file.
 */
export function eventStream(
  hub: Hub,
  wire: Wire,
  first: () => string,
  join: (listener: Listener) => void,
  gzipped = false,
): LiveAnswer {
  return {
    kind: 'live',
    headers: gzipped ? GZIPPED_HEADERS : HEADERS,
    open(connection) {
      const retry = Math.round(RETRY_FROM + Math.random() * RETRY_SPREAD)
      const listener = hub.listen(connection, wire)
      const event = first()
      // As a field of the first event: some clients make an empty event of a block that has nothing else.
      const text = event === '' ? '' : `retry: ${retry}\n${event}`
      if (gzipped) connection.write(chunk(Buffer.concat([GZIP_HEAD, gzipPiece(text)])))
      else if (text !== '') connection.write(chunk(Buffer.from(text)))
      join(listener)
    },
  }
}

/**
 * Opens a stream of several topics. Those that can't be had are sent as errors, and the others go on.
 *
 * @param known the version that the client has of each, in the order of the topics
 */
export function sseOf(
  parts: SseParts,
  client: SseClient,
  path: string,
  topics: readonly (Topic | Failure)[],
  known: readonly (Version | undefined)[] = [],
): LiveAnswer {
  const { hub } = parts
  const failed = topics.filter((topic) => 'problem' in topic)
  let usual = 0
  for (const topic of topics) if (!('problem' in topic)) usual = Math.max(usual, topic.of.usual(topic.readKey.topic))
  function join(listener: Listener): void {
    for (const [index, topic] of topics.entries())
      if (!('problem' in topic)) topic.of.watch(listener, topic.readKey, known[index])
    // Without a topic it would be silent for ever, and count as lost: it gets heartbeats of its own address.
    if (failed.length === topics.length) hub.join(listener, hub.channel(path), undefined)
  }
  return sse(parts, client, usual, join, failed)
}

function eventOf(subject: Entry | Notice): string {
  return subject instanceof Entry ? entryEvent(subject) : noticeEvent(subject)
}

function entryEvent(entry: Entry): string {
  return `event: ${entry.absent ? 'absent' : 'snapshot'}\nid: ${entry.versionText}\ndata: {${entryFields(entry)}}\n\n`
}

function noticeEvent(notice: Notice): string {
  if (notice instanceof LoggedEvent) return `event: event\nid: ${notice.position}\ndata: ${notice.text}\n\n`
  const { type, ...data } = notice
  // A client that received a gap resumes after it.
  const id = notice.type === 'gap' ? `id: ${notice.to}\n` : ''
  return `event: ${type}\n${id}data: ${JSON.stringify(data)}\n\n`
}
