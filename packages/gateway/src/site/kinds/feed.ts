import { NO_REQUESTS, readPath } from '../../pipeline.ts'
import type { Route } from '../../route/router.ts'
import { type Feed, type FeedPlan, loadFrom } from '../../topic/feed/feed.ts'
import { FeedRuntime } from '../../topic/feed/feed-runtime.ts'
import { FORMS, formOf } from '../../transport/form.ts'
import type { JsonSchema } from '../../transport/json-schema.ts'
import {
  component,
  failed,
  headers,
  keyParameters,
  LIVE,
  namedSchema,
  parameter,
  ref,
} from '../../transport/openapi.ts'
import { poll } from '../../transport/poll.ts'
import { snapshot } from '../../transport/snapshot.ts'
import { lastVersion, sse, sseClient } from '../../transport/sse.ts'
import { tellDropped } from '../drops.ts'
import { holdsByForm } from '../holds.ts'
import type { PartKind, SiteContext } from '../parts.ts'

export const feedKind: PartKind<Feed> = {
  kind: 'feed',
  title: 'a feed',

  topics: ({ plan }) => plan,

  upstreams: ({ plan: { upstream, where } }) => (upstream === undefined ? [] : [{ upstream, where }]),

  start({ plan: declared, serving }, site) {
    const runtime = runFeed(site.withOwnKeys(declared), site)
    return {
      topic: runtime,
      routes: () => [feedRoute(runtime, site)],
      serve: () => serving.begin(site.site, runtime),
      prewarm: () => runtime.prewarm(),
      stop() {
        serving.end(site.site)
        return runtime.stop()
      },
    }
  },

  inRegion(feed, { upstream }) {
    const { where, scope } = feed.plan
    const loaded = { upstream, ...loadFrom(where, scope), push: undefined, dependsOn: undefined }
    return { ...feed, plan: { ...feed.plan, ...loaded } }
  },

  describe: ({ plan }) => ({
    paths: { [plan.path]: { get: operation(plan) } },
    schemas: namedSchema(plan.name, plan.value),
  }),
}

function runFeed(plan: FeedPlan, site: SiteContext): FeedRuntime {
  const { pipeline, memory, live, sources } = site
  const { upstream, where } = plan
  const { bus, leases } = pipeline.backend
  const requests = upstream === undefined ? NO_REQUESTS : site.requests({ upstream, where })
  const load: FeedPlan['load'] = (...given) => site.within(() => plan.load(...given))
  return new FeedRuntime({
    ...{ plan, bus, leases, hub: live.hub },
    ...{ node: pipeline.node, clock: pipeline.clock, emit: pipeline.emit, stretch: pipeline.stretch },
    path: readPath({ ...plan, load }, requests, memory, pipeline),
    push: sources.push(plan),
    dropped: (what) => tellDropped(bus, plan.path, what),
  })
}

function feedRoute(feed: FeedRuntime, { live }: SiteContext): Route {
  return {
    path: feed.plan.path,
    owner: `feed "${feed.plan.name}"`,
    methods: ['GET', 'HEAD'],
    operator: false,
    scoped: feed.plan.scope !== 'public',
    holds: holdsByForm,
    handle(call, parameters, holds) {
      if (holds === 'nothing') return snapshot(live, feed, call, parameters)
      if (formOf(call, FORMS) === 'poll') return poll(live, feed, call, parameters)
      const readKey = feed.keyOf(parameters, call.query, call.identity)
      const known = lastVersion(call)
      const usual = feed.usual(readKey.topic)
      return sse(live, sseClient(call), usual, (listener) => feed.watch(listener, readKey, known))
    },
  }
}

function operation(feed: FeedPlan): JsonSchema {
  const { path, name, keys } = feed
  return {
    operationId: component(name),
    summary: `The value of ${name}.`,
    parameters: [...keyParameters(path, keys), ...['as', 'after', 'wait', 'resume'].map(parameter)],
    responses: {
      200: {
        description: `The value; ${LIVE} the value, and then every change.`,
        headers: headers(
          'etag',
          'weir-version',
          'weir-lineage',
          'age',
          'weir-stale',
          'weir-level',
          'cache-control',
          ...(feed.cdn === undefined ? [] : ['cdn-cache-control']),
          'cache-status',
        ),
        content: { 'application/json': { schema: ref('schemas', component(name)) } },
      },
      204: {
        description: 'With `as=poll`: nothing newer than `after` came while it waited.',
        headers: headers('weir-version', 'weir-lineage', 'age', 'weir-stale', 'weir-level'),
      },
      304: { description: 'The client has it: its `If-None-Match` names this content.', headers: headers('etag') },
      ...failed(feed.scope !== 'public'),
    },
  }
}
