import type { Route } from '../../route/router.ts'
import { followable, LOG_PARAMETERS, type Log, type LogPlan } from '../../topic/log/log.ts'
import { LogRuntime } from '../../topic/log/log-runtime.ts'
import { FORMS, formOf } from '../../transport/form.ts'
import type { JsonSchema } from '../../transport/json-schema.ts'
import { history, logPoll, sinceOf } from '../../transport/log.ts'
import {
  component,
  EVENT,
  failed,
  headers,
  keyParameters,
  LIVE,
  namedSchema,
  object,
  PUBLISHED,
  parameter,
  ref,
  schemaOf,
  VERSION,
} from '../../transport/openapi.ts'
import { publish } from '../../transport/publish.ts'
import { sse, sseClient } from '../../transport/sse.ts'
import { holdsByForm } from '../holds.ts'
import type { PartKind, SiteContext } from '../parts.ts'

export const logKind: PartKind<Log> = {
  kind: 'log',
  title: 'a log',

  topics: ({ plan }) => plan,

  upstreams: ({ plan: { upstream, where } }) => (upstream === undefined ? [] : [{ upstream, where }]),

  start({ plan: declared, serving }, site) {
    const { live, pipeline, sources } = site
    const plan = site.withOwnKeys(declared)
    const runtime = new LogRuntime({
      ...{ plan, hub: live.hub, clock: pipeline.clock, emit: pipeline.emit },
      logs: sources.logs(plan),
      source: sources.dependency(plan),
    })
    return {
      topic: runtime,
      routes: () => [logRoute(runtime, site)],
      serve: () => serving.begin(site.site, runtime),
      stop() {
        serving.end(site.site)
        runtime.stop()
      },
    }
  },

  inRegion(log, { upstream }) {
    followable(log.plan.where, log.plan.scope, upstream)
    return { ...log, plan: { ...log.plan, upstream, dependsOn: undefined, mayPublish: undefined } }
  },

  describe: ({ plan }) => ({
    paths: {
      [plan.path]: { get: operation(plan), ...(plan.mayPublish !== undefined && { post: publishOperation(plan) }) },
    },
    schemas: namedSchema(plan.name, plan.event),
  }),
}

function logRoute(log: LogRuntime, { live }: SiteContext): Route {
  const { path, name, scope, mayPublish } = log.plan
  return {
    path,
    owner: `log "${name}"`,
    methods: mayPublish === undefined ? ['GET', 'HEAD'] : ['GET', 'HEAD', 'POST'],
    operator: false,
    scoped: scope !== 'public' || mayPublish !== undefined,
    holds: holdsByForm,
    handle(call, parameters, holds) {
      if (call.method === 'POST') return publish(log, call, parameters)
      if (holds === 'nothing') return history(live, log, call, parameters)
      if (formOf(call, FORMS) === 'poll') return logPoll(live, log, call, parameters)
      const readKey = log.keyOf(parameters, call.query, call.identity, LOG_PARAMETERS.sse)
      const since = sinceOf(call)
      const usual = log.usual(readKey.topic)
      return sse(live, sseClient(call), usual, (listener) => log.watch(listener, readKey, since))
    },
  }
}

function operation({ path, name, keys, scope }: LogPlan): JsonSchema {
  const { position, at, ...rest } = EVENT
  const page = {
    type: 'object',
    required: ['events', 'oldest', 'newest'],
    properties: {
      events: { type: 'array', items: object({ position, at, event: ref('schemas', component(name)) }) },
      ...rest,
    },
  }
  return {
    operationId: component(name),
    summary: `The events of ${name}, in order.`,
    parameters: [
      ...keyParameters(path, keys),
      ...['as', 'afterPosition', 'most', 'wait', 'since', 'resume'].map(parameter),
    ],
    responses: {
      200: {
        description: `Events that are kept, oldest first; ${LIVE} these, and then every one that comes.`,
        headers: headers('weir-version', 'weir-lineage', 'weir-level'),
        content: { 'application/json': { schema: page } },
      },
      204: {
        description: 'With `as=poll`: no event came after `after` while it waited.',
        headers: headers('weir-version', 'weir-lineage', 'weir-level'),
      },
      ...failed(scope !== 'public'),
    },
  }
}

function publishOperation({ path, name, keys, event, scope }: LogPlan): JsonSchema {
  return {
    operationId: `publish_${component(name)}`,
    summary: `Puts an event into ${name}.`,
    parameters: keyParameters(path, keys),
    requestBody: { required: true, content: { 'application/json': { schema: schemaOf(event, 'input') } } },
    responses: {
      201: {
        description: 'The event is kept, at this position.',
        content: { 'application/json': { schema: object({ position: VERSION }) } },
      },
      ...failed(scope !== 'public', PUBLISHED),
    },
  }
}
