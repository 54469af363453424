import { compareVersions, type Problem } from '@weir/protocol'
import type { Answer, Call, MaybePromise } from '../call.ts'
import { Entry } from '../entry.ts'
import type { Channel } from '../hub/hub.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { readVersion } from '../topic/version.ts'
import { untilExpiry } from './credential.ts'
import { longPoll, readWait } from './long-poll.ts'
import { answerOf } from './problem.ts'
import { inBand, whole } from './snapshot.ts'
import type { SseParts } from './sse.ts'

/**
 * Answers when a feed's value is newer than what the client has: its JSON at once when it is, 204 when the wait is over.
 *
 * @throws WeirError `bad_version`, `bad_request`, `bad_key`
 */
export function poll(
  parts: SseParts,
  feed: FeedRuntime,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): MaybePromise<Answer> {
  const query = new URLSearchParams(call.query)
  const known = readVersion('after', query.get('after') ?? undefined)
  const wait = Math.min(readWait(query.get('wait') ?? undefined), untilExpiry(call.identity, parts.clock))
  const readKey = feed.keyOf(parameters, call.query, call.identity)

  function answer(news: News, latest?: Entry): Answer {
    if (news instanceof Entry) return whole(call, news, inBand(parts, feed, news))
    // A problem is no value, and has no age and no version.
    if (news !== undefined) return answerOf(news, inBand(parts, feed, undefined))
    const headers = inBand(parts, feed, latest)
    return { kind: 'whole', status: 204, headers, body: null }
  }

  if (known === undefined) {
    const entry = feed.read(readKey, { client: call.remote, signal: call.signal })
    return entry instanceof Promise ? entry.then((entry) => answer(entry)) : answer(entry)
  }
  let channel: Channel | undefined
  const look = (): News => {
    const latest = channel?.latest
    if (latest !== undefined) return compareVersions(latest.version, known) > 0 ? latest : undefined
    const failure = channel?.failure?.subject
    return failure !== undefined && 'problem' in failure ? failure.problem : undefined
  }
  const over = longPoll(parts, call.signal, wait, look, (listener) => {
    feed.watch(listener, readKey, known)
    channel = listener.channels[0]
  })
  return over.then((news) => answer(news, channel?.latest))
}

/** What ends a poll: a newer entry, why there is none, or neither in time. */
type News = Entry | Problem | undefined
