import type { Failure } from '@weir/protocol'
import type { Answer, Call, MaybePromise } from '../call.ts'
import { Entry, named } from '../entry.ts'
import { asWeirError, problemOf } from '../errors.ts'
import { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { LogRuntime } from '../topic/log/log-runtime.ts'
import { LoggedEvent } from '../topic/log/logged-event.ts'
import { callerOf } from './credential.ts'
import { absenceFields, topicFields } from './entry-fields.ts'
import { jsonAnswer } from './json-answer.ts'
import { type Newest, newest } from './log.ts'
import type { SnapshotParts } from './snapshot.ts'
import { type Topic, topicOr, topicsOf } from './topics.ts'

/**
 * Answers with the values of many topics, in the order of the request; one that is named twice stands in both
 * places. All are loaded together, so that they share calls, and one that fails leaves the others as they are.
 *
 * @throws WeirError `bad_request`
 */
export function values(parts: SnapshotParts, find: (topic: string) => Topic, call: Call): MaybePromise<Answer> {
  const found = topicsOf(call).map((topic) => topicOr(topic, find))
  const entries = found.map((topic) => ('problem' in topic ? topic : read(topic, call)))
  const waits = entries.some((entry) => entry instanceof Promise)
  return waits
    ? Promise.all(entries).then((entries) => answer(parts, found, entries, call))
    : answer(parts, found, entries as Had[], call)
}

/** The result for a topic. */
type Had = Entry | Newest | Failure

function read({ of, readKey }: Topic, call: Call): MaybePromise<Had> {
  const signal = of instanceof LogRuntime || of.fresh(readKey.topic) !== undefined ? undefined : call.signal
  const had =
    of instanceof LogRuntime ? newest(of, readKey, call.remote) : of.read(readKey, { client: call.remote, signal })
  if (!(had instanceof Promise)) return had
  return had.catch((thrown): Failure => {
    // The client has left: neither this value nor the others have a reader.
    if (signal?.aborted && thrown === signal.reason) throw thrown
    return { type: 'error', ...named(readKey.topic), problem: problemOf(asWeirError(thrown)) }
  })
}

function answer(
  { clock, level, lineage }: SnapshotParts,
  topics: readonly (Topic | Failure)[],
  entries: readonly Had[],
  call: Call,
): Answer {
  const caller = callerOf(call.identity)
  const line = lineage()
  const whose =
    (caller === undefined ? '' : `"caller":"${caller}",`) + (line === undefined ? '' : `"lineage":"${line}",`)
  const texts: (string | Buffer)[] = [`{"now":${clock.now()},"level":"${level()}",${whose}"values":[`]
  for (const [index, entry] of entries.entries()) {
    const topic = topics[index]
    if (index > 0) texts.push(',')
    if (entry instanceof LoggedEvent) texts.push(entry.text)
    else if (!(entry instanceof Entry)) texts.push(JSON.stringify({ ...entry, type: undefined }))
    else if (topic !== undefined && 'of' in topic && topic.of instanceof FeedRuntime)
      texts.push(...valueText(entry, topic.of.stale(entry)))
  }
  texts.push(']}')
  const json = Buffer.concat(texts.map((text) => (typeof text === 'string' ? Buffer.from(text) : text)))
  // How old each is, by the server's clock, and the level: none of it stays true in a cache.
  return jsonAnswer(call, json, { 'cache-control': 'no-store', 'weir-level': level() })
}

/** The value is written as the text it came as: parsed and written again, large numbers would lose digits. */
function valueText(entry: Entry, stale: boolean): (string | Buffer)[] {
  const { versionText, changedAt, checkedAt, content } = entry
  const times = `"changedAt":${changedAt},"checkedAt":${checkedAt},"stale":${stale}`
  const head = `{${topicFields(entry)},"version":"${versionText}",${times}`
  return content.json === undefined ? [`${head},${absenceFields(content)}}`] : [`${head},"value":`, content.json, '}']
}
