import type { Failure, Level, Version } from '@weir/protocol'
import type { AnswerHeaders, Call, LiveAnswer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Entry } from '../entry.ts'
import type { Hub, Listener, Notice, Wire } from '../hub/hub.ts'
import { LoggedEvent } from '../topic/logged-event.ts'
import { readVersion } from '../topic/version.ts'
import { entryFields } from './entry-fields.ts'
import type { Topic } from './topics.ts'

/** Messages as server-sent events: `event` is the type, `id` the version, `data` the rest. */
const SSE: Wire = {
  name: 'sse',
  encode: (subject) => Buffer.from(subject instanceof Entry ? entryEvent(subject) : noticeEvent(subject)),
}

/** A herd that lost its server together comes back spread over this many milliseconds. */
const RETRY_FROM = 1000
const RETRY_SPREAD = 2000

const HEADERS: AnswerHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  // nginx would hold events back until its buffer is full.
  'x-accel-buffering': 'no',
  vary: 'accept',
}

export interface SseParts {
  readonly hub: Hub
  readonly clock: Clock
  /** Milliseconds; told to clients. */
  readonly heartbeat: number
  readonly level: () => Level
}

/** The version that a returning client has. @throws WeirError `bad_version` */
export function lastVersion(call: Call): Version | undefined {
  return readVersion('last-event-id', call.header('last-event-id'))
}

/** Opens a stream of events. `join` says which topics the listener hears, `failed` which can't be had. */
export function sse(
  { hub, clock, heartbeat, level }: SseParts,
  join: (listener: Listener) => void,
  failed: readonly Failure[] = [],
): LiveAnswer {
  const hello = () => noticeEvent({ type: 'hello', now: clock.now(), heartbeat, level: level() })
  return eventStream(hub, SSE, () => `${hello()}${failed.map(noticeEvent).join('')}`, join)
}

/** The same in other words than ours: those of `wire`, after what is said `first`. */
export function eventStream(hub: Hub, wire: Wire, first: () => string, join: (listener: Listener) => void): LiveAnswer {
  return {
    kind: 'live',
    headers: HEADERS,
    open(connection) {
      const retry = Math.round(RETRY_FROM + Math.random() * RETRY_SPREAD)
      const listener = hub.listen(connection, wire)
      connection.write(Buffer.from(`retry: ${retry}\n\n${first()}`))
      join(listener)
    },
  }
}

/** Opens a stream of several topics. Those that can't be had are told as errors, and the others go on. */
export function sseOf(
  parts: SseParts,
  path: string,
  topics: readonly (Topic | Failure)[],
  known: Version | undefined,
): LiveAnswer {
  const { hub } = parts
  const failed = topics.filter((topic) => 'problem' in topic)
  function join(listener: Listener): void {
    for (const topic of topics) if (!('problem' in topic)) topic.of.watch(listener, topic.readKey, known)
    // Of nothing it would be silent for ever, and count as lost: it hears that its own address is there.
    if (failed.length === topics.length) hub.join(listener, hub.channel(path), undefined)
  }
  return sse(parts, join, failed)
}

function entryEvent(entry: Entry): string {
  return `event: ${entry.absent ? 'absent' : 'snapshot'}\nid: ${entry.versionText}\ndata: {${entryFields(entry)}}\n\n`
}

function noticeEvent(notice: Notice): string {
  if (notice instanceof LoggedEvent) return `event: event\nid: ${notice.position}\ndata: ${notice.text}\n\n`
  const { type, ...data } = notice
  // Who heard of a gap goes on behind it.
  const id = notice.type === 'gap' ? `id: ${notice.to}\n` : ''
  return `event: ${type}\n${id}data: ${JSON.stringify(data)}\n\n`
}
