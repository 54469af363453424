import type { Failure } from '@weir/protocol'
import type { Call } from '../call.ts'
import { asWeirError, problemOf, show, WeirError } from '../errors.ts'
import type { ReadKey } from '../topic/key.ts'
import type { LiveFeed } from '../topic/live-feed.ts'
import type { LiveLog } from '../topic/live-log.ts'

/** The most topics that one call may name. */
export const MOST_TOPICS = 500

/** A topic that a client named: the feed or log that has it, and its key there. */
export interface Topic {
  readonly of: LiveFeed | LiveLog
  readonly readKey: ReadKey
}

/**
 * The topics of `?topic=…&topic=…`, in the order in which they stand.
 *
 * @throws WeirError `bad_request` when there is none, when there are too many, or beside anything else than `as`
 */
export function topicsOf(call: Call): readonly string[] {
  const query = new URLSearchParams(call.query)
  // Most likely a topic with a query of its own that was not percent-encoded: half of it would be lost without a word.
  const other = [...query.keys()].find((name) => name !== 'topic' && name !== 'as')
  if (other !== undefined)
    throw new WeirError('bad_request', `expected only topic, each percent-encoded, got ${show(other)}`)
  const topics = query.getAll('topic')
  if (topics.length === 0 || topics.length > MOST_TOPICS)
    throw new WeirError('bad_request', `topic: expected 1 to ${MOST_TOPICS} of them, got ${topics.length}`)
  return topics
}

/** The topic, or the message that says why it can't be had: one bad topic fails no other. */
export function topicOr(topic: string, find: (topic: string) => Topic): Topic | Failure {
  try {
    return find(topic)
  } catch (thrown) {
    return { type: 'error', topic, problem: problemOf(asWeirError(thrown)) }
  }
}
