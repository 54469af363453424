import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ERRORS, type ErrorCode } from '../errors.ts'
import type { KeyReader } from '../topic/key.ts'
import { MOST_EVENTS } from '../topic/log/log-runtime.ts'
import { type JsonSchema as Json, jsonSchemaOf, takes } from './json-schema.ts'
import { MOST_TOPICS } from './topics.ts'

/** What a part of an app adds to the document. */
export interface Described {
  /** Operations by method, by address as it is declared. */
  readonly paths: Readonly<Record<string, Json>>
  /** Schemas of its values or events, by name. */
  readonly schemas?: Readonly<Record<string, Json>>
}

export interface OpenApiParts {
  readonly app: string
  readonly described: readonly Described[]
  /** Whether values of some topics are not everybody's. */
  readonly scoped: boolean
}

/** What an app serves, as an OpenAPI 3.1 document made from its schemas. */
export function openApi({ app, described, scoped }: OpenApiParts): Json {
  const ours = { '/weir/values': { get: valuesOperation(scoped) }, '/weir/stream': { get: topicsOperation(scoped) } }
  const paths: Record<string, Json> = {}
  for (const [path, operations] of [...described.map(({ paths }) => paths), ours].flatMap((paths) =>
    Object.entries(paths),
  ))
    paths[pathOf(path)] = { ...paths[pathOf(path)], ...operations }
  return {
    openapi: '3.1.1',
    info: { title: app, version: '1', summary: 'What this site serves, in every form.' },
    paths,
    components: {
      schemas: { ...Object.assign({}, ...described.map(({ schemas }) => schemas)), ...SCHEMAS },
      headers: HEADERS,
      parameters: PARAMETERS,
      responses: problems(),
    },
  }
}

/** Operations of which no more is known than what they give. */
export function plainOperations(path: string, methods: readonly string[], help: string): Json {
  const operation = { summary: help, parameters: pathParameters(path), responses: { default: { description: help } } }
  const given = methods.map((method) => method.toLowerCase()).filter((method) => METHODS.includes(method))
  return Object.fromEntries(given.map((method) => [method, operation]))
}

/** The schema of a value or an event, under its name among the components. */
export function namedSchema(name: string, schema: StandardSchemaV1): Readonly<Record<string, Json>> {
  return { [component(name)]: { title: name, ...schemaOf(schema, 'output', component(name)) } }
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'trace']

export const VERSION = { type: 'string', pattern: '^\\d{1,16}:\\d{1,16}$', examples: ['1795258643830:7'] }
const LINEAGE = { type: 'string' }
const MOMENT = { type: 'integer', description: 'Milliseconds since 1970, by the clock of the server.' }
const LEVEL = { type: 'string', enum: ['normal', 'saver', 'strained', 'maintenance'] }

/** The fields of an event of a log, and of its page besides the events. */
export const EVENT = {
  position: VERSION,
  at: MOMENT,
  oldest: { ...VERSION, description: 'The position of the oldest event that is kept.' },
  newest: { ...VERSION, description: 'The position of the newest event.' },
  lineage: { ...LINEAGE, description: 'Of which line of epochs the positions are.' },
  gap: {
    ...object({ from: VERSION, to: VERSION }),
    description: 'Requested events that are gone: those after `from`, up to and including `to`.',
  },
}

const KNOWN = {
  topic: { type: 'string' },
  version: VERSION,
  changedAt: MOMENT,
  checkedAt: MOMENT,
  stale: { type: 'boolean' },
}

const SCHEMAS: Json = {
  WeirProblem: {
    description: 'An error (RFC 9457).',
    type: 'object',
    required: ['type', 'title', 'status', 'code', 'detail', 'retry'],
    properties: {
      type: { type: 'string', format: 'uri' },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string', enum: Object.keys(ERRORS) },
      detail: { type: 'string', description: 'What was expected and what came.' },
      retry: { type: 'boolean', description: 'Whether the same request may succeed later.' },
      retryAfter: { type: 'integer', description: 'Seconds to wait before that.' },
      requestId: { type: 'string', description: 'By this the log of the server has the cause.' },
    },
  },
  WeirValues: {
    type: 'object',
    required: ['now', 'level', 'values'],
    properties: {
      now: MOMENT,
      level: LEVEL,
      values: {
        description: 'One for each topic, in the order of the request.',
        type: 'array',
        items: {
          anyOf: [
            object({ ...KNOWN, value: {} }),
            object({ ...KNOWN, reason: { type: 'string', description: 'Why there is no value.' } }),
            object({ topic: { type: 'string' }, position: VERSION, at: MOMENT, event: {} }),
            object({ topic: { type: 'string' }, position: VERSION }),
            object({ topic: { type: 'string' }, problem: ref('schemas', 'WeirProblem') }),
          ],
        },
      },
    },
  },
}

const HEADERS: Json = {
  etag: header('A hash of the content.', { type: 'string' }),
  'weir-version': header('The version: a client accepts only a larger one than it has.', VERSION),
  'weir-lineage': header('Of which line of epochs the version is: versions are compared within one.', LINEAGE),
  age: header('Seconds since the moment of which the value is.', { type: 'integer' }),
  'weir-stale': header('`?1` while the value is older than its feed allows.', { type: 'string', enum: ['?0', '?1'] }),
  'weir-level': header('How hard the server was pressed when it answered.', LEVEL),
  'cache-control': header('For how long it is fresh, and may be shown stale.', { type: 'string' }),
  'cdn-cache-control': header('The same for edges (RFC 9213).', { type: 'string' }),
  'cache-status': header('Whether it came from memory (RFC 9211).', { type: 'string' }),
  'retry-after': header('Seconds after which it may go better.', { type: 'integer' }),
}

const PARAMETERS: Json = {
  as: {
    name: 'as',
    in: 'query',
    description: 'The form of the answer; goes before `Accept`.',
    schema: { type: 'string', enum: ['json', 'sse', 'poll'], default: 'json' },
  },
  after: {
    name: 'after',
    in: 'query',
    description: 'With `as=poll`: the version that the client has. It is answered when there is a larger one.',
    schema: VERSION,
  },
  afterPosition: {
    name: 'after',
    in: 'query',
    description: 'The position of the last event that the client has; not with `as=sse`.',
    schema: VERSION,
  },
  most: {
    name: 'most',
    in: 'query',
    description: 'The most events; not with `as=sse`.',
    schema: { type: 'integer', minimum: 1, maximum: MOST_EVENTS, default: MOST_EVENTS },
  },
  since: {
    name: 'since',
    in: 'query',
    description: 'With `as=sse`: the position after which to begin; `Last-Event-ID` goes before it.',
    schema: VERSION,
  },
  sinceEach: {
    name: 'since',
    in: 'query',
    description:
      'The version or position that the client has of each topic, empty where it has none: as often as `topic`, or not at all.',
    schema: { type: 'array', items: { type: 'string', examples: ['1753000000000:42'] } },
  },
  wait: {
    name: 'wait',
    in: 'query',
    description: 'With `as=poll`: how long to wait for that, `60s` at most.',
    schema: { type: 'string', default: '25s', examples: ['500ms', '60s'] },
  },
  resume: {
    name: 'last-event-id',
    in: 'header',
    description: 'With `as=sse`: the version that a returning client has.',
    schema: VERSION,
  },
  topic: {
    name: 'topic',
    in: 'query',
    required: true,
    description: 'The address of a value, percent-encoded, as often as there are.',
    schema: { type: 'array', minItems: 1, maxItems: MOST_TOPICS, items: { type: 'string', examples: ['/prices/SOL'] } },
  },
}

/**
 * In the description and not as a second media type: generated clients would have the type of an answer as `string | Price`, and a cast
 * at each use.
 */
export const LIVE = 'with `as=sse`, as `text/event-stream`,'

export const EVENTS: Json = {
  'text/event-stream': {
    schema: {
      type: 'string',
      description: 'The events hello, snapshot, absent, event, gap, heartbeat, level, error and goodbye.',
    },
  },
}

/** Errors that no operation of the document has: those of WebSockets, of GraphQL, and of methods that it does not name. */
const ELSEWHERE: readonly ErrorCode[] = [
  'method_not_allowed',
  'unsupported_type',
  'upgrade_required',
  'bad_origin',
  'bad_message',
  'too_many_topics',
  'bad_document',
  'not_acceptable',
  'query_too_complex',
]
const CODES = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !ELSEWHERE.includes(code))
/** Errors of a `POST` alone. */
const PUBLISHING: readonly ErrorCode[] = ['bad_event', 'body_too_large', 'not_published']
const READ = statusesOf(CODES.filter((code) => !PUBLISHING.includes(code)))
export const PUBLISHED = statusesOf(CODES)

function statusesOf(codes: readonly ErrorCode[]): readonly number[] {
  return [...new Set(codes.map((code) => ERRORS[code].status))].sort()
}

/** @param scoped whether the answer depends on the caller */
export function failed(scoped: boolean, statuses = READ): Json {
  const { unauthenticated } = ERRORS
  const met = statuses.filter((status) => scoped || status !== unauthenticated.status)
  return Object.fromEntries(met.map((status) => [status, ref('responses', `Problem${status}`)]))
}

function valuesOperation(scoped: boolean): Json {
  return {
    operationId: 'weirValues',
    summary: 'Many values in one answer.',
    parameters: [parameter('topic')],
    responses: {
      200: {
        description: 'Each value, that there is none, or why it could not be had.',
        headers: headers('weir-level'),
        content: { 'application/json': { schema: ref('schemas', 'WeirValues') } },
      },
      ...failed(scoped),
    },
  }
}

function topicsOperation(scoped: boolean): Json {
  return {
    operationId: 'weirStream',
    summary: 'Many topics on one connection.',
    parameters: ['topic', 'sinceEach', 'resume'].map(parameter),
    responses: {
      200: { description: 'Each value, and then every change; an error for those that are none.', content: EVENTS },
      ...failed(scoped),
    },
  }
}

/** One for each status, with the codes that have it. */
function problems(): Json {
  const each = PUBLISHED.map((status) => {
    const codes = CODES.filter((code) => ERRORS[code].status === status)
    const schema = { allOf: [ref('schemas', 'WeirProblem'), { properties: { code: { enum: codes } } }] }
    const response = {
      description: codes.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' '),
      ...(codes.some((code) => ERRORS[code].retry) ? { headers: headers('retry-after') } : {}),
      content: { 'application/problem+json': { schema } },
    }
    return [`Problem${status}`, response]
  })
  return Object.fromEntries(each)
}

/** @param name under which it stands among the components: what it refers to of itself is found there */
export function schemaOf(schema: StandardSchemaV1, side: 'input' | 'output', name?: string): Json {
  const said = JSON.stringify(jsonSchemaOf(schema, side))
  return JSON.parse(said.replaceAll('"$ref":"#', `"$ref":"#/components/schemas/${name}`))
}

/** Parameters in braces, and a wildcard under a name. */
function pathOf(path: string): string {
  return path.replaceAll(/:([A-Za-z0-9_]+)\??/g, '{$1}').replace(/\*\*?$/, '{rest}')
}

/** The parts of a key, in the path and in the query. */
export function keyParameters(path: string, { inQuery, schemas }: KeyReader): readonly Json[] {
  const asked = inQuery.map((part) => {
    const schema = schemas[part]
    if (schema === undefined) return {}
    return { name: part, in: 'query', required: !takes(schema, undefined), schema: schemaOf(schema, 'input') }
  })
  return [...pathParameters(path, schemas), ...asked]
}

function pathParameters(path: string, schemas: Readonly<Record<string, StandardSchemaV1>> = {}): readonly Json[] {
  return [...pathOf(path).matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => {
    const schema = schemas[name]
    return {
      name,
      in: 'path',
      required: true,
      schema: schema === undefined ? { type: 'string' } : schemaOf(schema, 'input'),
    }
  })
}

export function object(properties: Json): Json {
  return { type: 'object', required: Object.keys(properties), properties }
}

/** Names of components are letters, digits, dots, dashes and underscores. */
export function component(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9._-]/g, '_')
}

function header(description: string, schema: Json): Json {
  return { description, schema }
}

export function headers(...names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, ref('headers', name)]))
}

export function parameter(name: string): Json {
  return ref('parameters', name)
}

export function ref(kind: string, name: string): Json {
  return { $ref: `#/components/${kind}/${name}` }
}
