import type { Identity } from '../call.ts'
import { asWeirError, show, WeirError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Route, Router } from '../route/router.ts'
import type { FeedRuntime } from '../topic/feed/feed-runtime.ts'
import type { LogRuntime } from '../topic/log/log-runtime.ts'
import { formOf } from '../transport/form.ts'
import { checkHandshake } from '../transport/handshake.ts'
import { lastVersion, sseClient, sseOf } from '../transport/sse.ts'
import { heldTopicsOf, type Topic, topicOr } from '../transport/topics.ts'
import { values } from '../transport/values.ts'
import { websocket } from '../transport/websocket.ts'
import type { SiteContext } from './parts.ts'

/** Finds the feed or log that a topic names, and its key there. @throws WeirError `not_found`, `bad_key`, `unauthenticated` */
export type FindTopic = (topic: string, identity: Identity | undefined) => Topic

/**
 * Finds topics by the same routes as calls.
 *
 * @param byRoute what has the values of each route whose addresses are topics
 */
export function topicFinder(
  router: () => Router,
  byRoute: ReadonlyMap<Route, FeedRuntime | LogRuntime>,
  emit: Emit,
): FindTopic {
  return (topic, identity) => {
    const [path = '', ...query] = topic.split('?')
    const match = path.startsWith('/') ? router().find({ method: 'GET', path }) : undefined
    const of = match === undefined ? undefined : byRoute.get(match.route)
    if (match === undefined || of === undefined)
      throw new WeirError('not_found', `topic: expected the address of a value, got ${show(topic)}`)
    try {
      return { of, readKey: of.keyOf(match.parameters, query.join('?'), identity) }
    } catch (thrown) {
      // One of many topics that fails is a message to its client, and no failure of the call.
      if (asWeirError(thrown).code === 'internal') emit({ type: 'failed', where: of.plan.where, error: thrown })
      throw thrown
    }
  }
}

/** The addresses of many topics at once: their values, a stream of them, a WebSocket. `scoped`: whether some are not everybody's. */
export function topicRoutes(site: SiteContext, find: FindTopic, scoped: boolean): readonly Route[] {
  const { live, peers, cors, pipeline } = site
  const ours = { owner: 'the gateway', operator: false, scoped }
  const stream = '/weir/stream'
  return [
    {
      ...{ ...ours, path: '/weir/values', methods: ['GET', 'HEAD'] },
      handle(call) {
        formOf(call, ['json'])
        return values(live, (topic) => find(topic, call.identity), call)
      },
    },
    {
      ...{ ...ours, path: stream, methods: ['GET'] },
      holds: 'connection',
      handle(call) {
        formOf(call, ['sse'])
        const held = heldTopicsOf(call)
        const topics = [...held.keys()].map((topic) => topicOr(topic, (topic) => find(topic, call.identity)))
        const last = lastVersion(call)
        // One version can't be that of many topics.
        const known = last !== undefined && held.size === 1 ? [last] : [...held.values()]
        return sseOf(live, sseClient(call), stream, topics, known)
      },
    },
    {
      ...{ ...ours, path: '/weir/ws', methods: ['GET'] },
      holds: 'connection',
      handle(call) {
        checkHandshake(call, cors)
        return websocket({ ...live, peers, emit: pipeline.emit, find }, call)
      },
    },
  ]
}
