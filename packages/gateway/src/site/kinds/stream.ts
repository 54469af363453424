import { WeirError } from '../../errors.ts'
import type { Route } from '../../route/router.ts'
import type { Stream } from '../../topic/feed/stream.ts'
import { formOf } from '../../transport/form.ts'
import type { JsonSchema } from '../../transport/json-schema.ts'
import { EVENTS, failed, schemaOf } from '../../transport/openapi.ts'
import { lastVersion, sse, sseClient, sseOf } from '../../transport/sse.ts'
import { topicOr } from '../../transport/topics.ts'
import type { PartKind, SiteContext } from '../parts.ts'

export const streamKind: PartKind<Stream> = {
  kind: 'stream',
  title: 'a stream',
  start: (stream, site) => ({ routes: () => [streamRoute(stream, site)] }),
  describe: (stream) => ({ paths: { [stream.path]: { get: operation(stream) } } }),
}

function streamRoute({ of, path, choose, maxKeys, ...stream }: Stream, site: SiteContext): Route {
  const feed = site.feed(of.path)
  const { keys } = feed.plan
  const always = stream.always.map((key) => keys.fromParts(key))
  return {
    path,
    owner: `stream "${path}"`,
    methods: ['GET'],
    operator: false,
    holds: 'connection',
    handle(call) {
      formOf(call, ['sse'])
      lastVersion(call)
      const client = sseClient(call)
      const chosen = choose === undefined ? null : new URLSearchParams(call.query).get(choose.query)
      if (choose === undefined || chosen === null) {
        return sse(site.live, client, feed.usual(), (listener) => feed.watchAll(listener, always))
      }
      const values = chosen.split(',').filter((value) => value !== '')
      if (values.length === 0) throw new WeirError('bad_key', `${choose.query}: expected at least one key, got none`)
      if (values.length > maxKeys)
        throw new WeirError('bad_key', `${choose.query}: expected at most ${maxKeys} keys, got ${values.length}`)
      const topics = [...new Set(values)].map((value) =>
        topicOr(topicText(feed.plan.path, choose.part, value), () => ({
          of: feed,
          readKey: keys.fromParts({ [choose.part]: value }),
        })),
      )
      return sseOf(site.live, client, path, topics)
    },
  }
}

/** The topic that a value would have if it were a key, for the message to the client that named it. */
function topicText(path: string, part: string, value: string): string {
  const text = encodeURIComponent(value.toWellFormed())
  const filled = path.replaceAll(/:[^/]+/g, (name) => (name === `:${part}` ? text : name))
  return filled === path ? `${path}?${encodeURIComponent(part)}=${text}` : filled
}

function operation({ path, of, choose, maxKeys }: Stream): JsonSchema {
  const schema = choose === undefined ? undefined : of.plan.keys.schemas[choose.part]
  const chosen =
    choose === undefined || schema === undefined
      ? []
      : [
          {
            name: choose.query,
            in: 'query',
            description: `Which values of ${of.name}; without it every value that is watched.`,
            style: 'form',
            explode: false,
            schema: { type: 'array', minItems: 1, maxItems: maxKeys, items: schemaOf(schema, 'input') },
          },
        ]
  return {
    operationId: `stream${path.replaceAll(/[^A-Za-z0-9]+/g, '_')}`,
    summary: `Many values of ${of.name} on one connection.`,
    parameters: chosen,
    responses: { 200: { description: 'Each value, and then every change.', content: EVENTS }, ...failed(false) },
  }
}
