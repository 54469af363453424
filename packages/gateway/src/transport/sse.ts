import { type Level, parseVersion, type Version } from '@weir/protocol'
import type { AnswerHeaders, Call, LiveAnswer } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Entry } from '../entry.ts'
import { show, WeirError } from '../errors.ts'
import type { Hub, Listener, Notice, Wire } from '../hub/hub.ts'

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

/**
 * Whether a call asks for server-sent events, by `?as=sse` or by `Accept`.
 *
 * @throws WeirError `bad_request` when `as` names no form
 */
export function wantsEvents(call: Call): boolean {
  const as = call.query === '' ? undefined : /(?:^|&)as=([^&]*)/.exec(call.query)?.[1]
  if (as === undefined) return call.header('accept')?.includes('text/event-stream') ?? false
  if (as !== 'sse' && as !== 'json') throw new WeirError('bad_request', `as: expected sse or json, got ${show(as)}`)
  return as === 'sse'
}

/** The version that a returning client has. @throws WeirError `bad_version` */
export function lastVersion(call: Call): Version | undefined {
  const id = call.header('last-event-id')
  if (id === undefined || id === '') return undefined
  const version = parseVersion(id)
  if (version === undefined)
    throw new WeirError('bad_version', `last-event-id: expected epoch:sequence, got ${show(id)}`)
  return version
}

/** Opens a stream of events; `join` says which topics the listener hears. */
export function sse({ hub, clock, heartbeat, level }: SseParts, join: (listener: Listener) => void): LiveAnswer {
  return {
    kind: 'live',
    headers: HEADERS,
    open(connection) {
      const retry = Math.round(RETRY_FROM + Math.random() * RETRY_SPREAD)
      const hello = noticeEvent({ type: 'hello', now: clock.now(), heartbeat, level: level() })
      const listener = hub.listen(connection, SSE)
      connection.write(Buffer.from(`retry: ${retry}\n\n${hello}`))
      join(listener)
    },
  }
}

function entryEvent(entry: Entry): string {
  const { content, changedAt, checkedAt } = entry
  const version = entry.versionText
  const head = `"topic":${JSON.stringify(entry.topic)},"version":"${version}","changedAt":${changedAt},"checkedAt":${checkedAt}`
  // The value goes in as the text it is: it was encoded when it came, and JSON text has no line breaks.
  return content.json === undefined
    ? `event: absent\nid: ${version}\ndata: {${head},"reason":${JSON.stringify(content.reason)}}\n\n`
    : `event: snapshot\nid: ${version}\ndata: {${head},"value":${content.json.toString()}}\n\n`
}

function noticeEvent({ type, ...data }: Notice): string {
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
}
