import { compareVersions, formatVersion, type LogEvent, type Problem, type Version } from '@weir/protocol'
import type { Answer, AnswerHeaders, Call } from '../call.ts'
import { named } from '../entry.ts'
import { show, WeirError } from '../errors.ts'
import type { Listener } from '../hub/hub.ts'
import type { ReadKey } from '../topic/key.ts'
import { LOG_PARAMETERS } from '../topic/log/log.ts'
import { type LogPart, type LogRuntime, MOST_EVENTS } from '../topic/log/log-runtime.ts'
import { LoggedEvent } from '../topic/log/logged-event.ts'
import { readVersion } from '../topic/version.ts'
import { callerOf, untilExpiry } from './credential.ts'
import { jsonAnswer } from './json-answer.ts'
import { longPoll, readWait } from './long-poll.ts'
import { answerOf } from './problem.ts'
import type { SnapshotParts } from './snapshot.ts'
import type { SseParts } from './sse.ts'

/**
 * Answers with a part of a log's history as JSON, oldest first.
 *
 * @throws WeirError `bad_version`, `bad_request`, `bad_key`
 */
export async function history(
  parts: SnapshotParts,
  log: LogRuntime,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { after, most } = readRange(call)
  const readKey = log.keyOf(parameters, call.query, call.identity, LOG_PARAMETERS.json)
  const stale = await log.caughtUp(readKey, call.remote)
  return page(parts, call, readKey.topic, await log.part(readKey.topic, after, most), stale)
}

/** The newest event of a log, or where the log stands. */
export type Newest = LoggedEvent | Pick<LogEvent, 'topic' | 'private' | 'lineage' | 'position'>

/** What stands for the value of a log: its newest event, or, while it keeps none, where it stands. */
export async function newest(log: LogRuntime, readKey: ReadKey, client: string): Promise<Newest> {
  const { topic } = readKey
  await log.caughtUp(readKey, client)
  const { events, epoch, lineage, newest } = await log.latest(topic)
  const line = events.at(-1)
  if (line !== undefined) return new LoggedEvent(topic, line)
  const whose = { ...named(topic), ...(lineage !== undefined && { lineage }) }
  return { ...whose, position: formatVersion({ epoch, sequence: newest }) }
}

/**
 * Answers as `history` when there are events after what the client has: at once when there are, 204 when the wait is over.
 *
 * @throws WeirError `bad_version`, `bad_request`, `bad_key`
 */
export async function logPoll(
  parts: SseParts,
  log: LogRuntime,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { after, most } = readRange(call)
  const asked = readWait(new URLSearchParams(call.query).get('wait') ?? undefined)
  const wait = Math.min(asked, untilExpiry(call.identity, parts.clock))
  const readKey = log.keyOf(parameters, call.query, call.identity, LOG_PARAMETERS.poll)
  // Made now: a signal that is made later would not know of a client that left while the history was read.
  const { signal } = call
  const stale = await log.caughtUp(readKey, call.remote)
  const there = await log.part(readKey.topic, after, most)
  if (after === undefined || there.events.length > 0) return page(parts, call, readKey.topic, there, stale)

  let listener: Listener | undefined
  // Anything but what the client has is news: an event, or that the log lost its past.
  function look(): true | undefined {
    const tail = listener?.channels[0]?.tail
    return tail !== undefined && compareVersions(tail.newest, after as Version) !== 0 ? true : undefined
  }
  const news: Problem | true | undefined = await longPoll(parts, signal, wait, look, (joined) => {
    listener = joined
    log.watch(joined, readKey, after)
  })
  if (news === true) return page(parts, call, readKey.topic, await log.part(readKey.topic, after, most), false)
  const { lineage = parts.lineage() } = there
  const headers = inBand(parts, after, lineage, await log.caughtUp(readKey, call.remote))
  return news === undefined ? { kind: 'whole', status: 204, headers, body: null } : answerOf(news, headers)
}

/** The position after which a stream begins. The last event that the client received goes before the one in its address. */
export function sinceOf(call: Call): Version | undefined {
  const since = readVersion('since', new URLSearchParams(call.query).get('since') ?? undefined)
  return readVersion('last-event-id', call.header('last-event-id')) ?? since
}

function readRange(call: Call): { readonly after: Version | undefined; readonly most: number } {
  const query = new URLSearchParams(call.query)
  const after = readVersion('after', query.get('after') ?? undefined)
  const text = query.get('most') ?? String(MOST_EVENTS)
  const most = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (most < 1 || most > MOST_EVENTS)
    throw new WeirError('bad_request', `most: expected a whole number from 1 to ${MOST_EVENTS}, got ${show(text)}`)
  return { after, most }
}

/** Events are written as the text they came as: parsed and written again, large numbers would lose digits. */
function page(
  parts: SnapshotParts,
  call: Call,
  topic: string,
  { events, epoch, lineage = parts.lineage(), oldest, newest, gap }: LogPart,
  stale: boolean | undefined,
): Answer {
  const at = (sequence: number) => formatVersion({ epoch, sequence })
  const texts = events.map(
    ({ offset, at: moment, event }) => `{"position":"${at(offset)}","at":${moment},"event":${event}}`,
  )
  const missed = gap === undefined ? '' : `,"gap":{"from":"${formatVersion(gap.from)}","to":"${formatVersion(gap.to)}"}`
  const { private: hidden } = named(topic)
  const whose = hidden ? `,"private":true,"caller":"${callerOf(call.identity)}"` : ''
  const line = lineage === undefined ? '' : `,"lineage":${JSON.stringify(lineage)}`
  const json = `{"events":[${texts.join()}],"oldest":"${at(oldest)}","newest":"${at(newest)}"${line}${missed}${whose}}`
  return jsonAnswer(call, Buffer.from(json), inBand(parts, { epoch, sequence: newest }, lineage, stale))
}

function inBand(
  { level }: SnapshotParts,
  newest: Version,
  lineage: string | undefined,
  stale: boolean | undefined,
): AnswerHeaders {
  const headers: AnswerHeaders = {
    ...{ 'cache-control': 'no-store', 'weir-level': level(), 'weir-version': formatVersion(newest) },
  }
  if (lineage !== undefined) headers['weir-lineage'] = lineage
  if (stale !== undefined) headers['weir-stale'] = stale ? '?1' : '?0'
  return headers
}
