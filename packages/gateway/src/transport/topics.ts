import type { Failure, Version } from '@weir/protocol'
import type { Call } from '../call.ts'
import { asWeirError, problemOf, show, WeirError } from '../errors.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { ReadKey } from '../topic/key.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import { readVersion } from '../topic/version.ts'

/** The most topics that one call may name. */
export const MOST_TOPICS = 500

/** A topic that a client named: the feed or log that has it, and its key there. */
export interface Topic {
  readonly of: FeedRuntime | LogRuntime
  readonly readKey: ReadKey
}

/**
 * The topics of `?topic=…&topic=…`, in the order in which they stand.
 *
 * @param beside a further parameter that is allowed, besides `as`
 * @throws WeirError `bad_request` when there is none, when there are too many, or with any other parameter
 */
export function topicsOf(call: Call, beside?: string): readonly string[] {
  const query = new URLSearchParams(call.query)
  // Most likely a topic with a query of its own that was not percent-encoded: half of it would be lost silently.
  const other = [...query.keys()].find((name) => !['topic', 'as', beside].includes(name))
  if (other !== undefined)
    throw new WeirError('bad_request', `expected only topic, each percent-encoded, got ${show(other)}`)
  const topics = query.getAll('topic')
  if (topics.length === 0 || topics.length > MOST_TOPICS)
    throw new WeirError('bad_request', `topic: expected 1 to ${MOST_TOPICS} of them, got ${topics.length}`)
  return topics
}

/**
 * The same, each once, with the version that the client has of it: `since` stands as often as `topic`, or not at all, and is empty for
 * what the client does not have.
 *
 * @throws WeirError `bad_version`, `bad_request` as above, and when the two don't go together
 */
export function heldTopicsOf(call: Call): ReadonlyMap<string, Version | undefined> {
  const topics = topicsOf(call, 'since')
  const since = new URLSearchParams(call.query).getAll('since')
  if (since.length > 0 && since.length !== topics.length)
    throw new WeirError('bad_request', `since: expected one for each of ${topics.length} topics, got ${since.length}`)
  return new Map(topics.map((topic, index) => [topic, readVersion('since', since[index])]))
}

/** The topic, or the message that says why it can't be had: one bad topic fails no other. */
export function topicOr(topic: string, find: (topic: string) => Topic): Topic | Failure {
  try {
    return find(topic)
  } catch (thrown) {
    return { type: 'error', topic, problem: problemOf(asWeirError(thrown)) }
  }
}
