import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Identity } from '../call.ts'
import { ConfigError, show, WeirError } from '../errors.ts'
import { isRecord } from '../options.ts'

/** The names of a path's parameters: `'/books/:venue/:pair'` has `'venue' | 'pair'`. */
export type PathParameter<Path extends string> = Path extends `${infer Head}/${infer Rest}`
  ? PathParameter<Head> | PathParameter<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never

/** A schema for each part of a key. */
export type KeySchemas = Readonly<Record<string, StandardSchemaV1>>

/** A key as loaders get it. */
export type KeyOf<Schemas extends KeySchemas> = {
  readonly [Part in keyof Schemas]: StandardSchemaV1.InferOutput<Schemas[Part]>
}

/** A key that was read, and the one address it has. */
export interface ReadKey {
  readonly topic: string
  /** Whose value it is, where it is not everybody's. */
  readonly identity?: Identity
  readonly key: Readonly<Record<string, unknown>>
}

/** Turns addresses into keys and keys into topics. */
export interface KeyReader {
  /** The schema of each part, and the names of those that are query parameters. */
  readonly schemas: KeySchemas
  readonly inQuery: readonly string[]
  /**
   * The key of an address: parameters of the path as the router matched them, still percent-encoded, and the query.
   *
   * @param ours query parameters that are not of the key; by default those of a feed's forms
   * @throws WeirError `bad_key` naming the part, what was expected and what came
   */
  fromAddress(parameters: Readonly<Record<string, string>>, query: string, ours?: readonly string[]): ReadKey
  /** The same for a topic, as it was made of a key. */
  fromTopic(topic: string): ReadKey
  /** The same for a key given in code. */
  fromParts(parts: Readonly<Record<string, unknown>>): ReadKey
}

/** Query parameters that choose how a value is answered, and never which; the last two are a poll's alone. */
const OURS = ['as', 'after', 'wait']

/** Query parameters that some form of a feed or a log takes. */
const OF_FORMS = [...OURS, 'since', 'most']

const SEGMENT = /^:?[A-Za-z0-9_.~-]+$/

/** The default for the longest text of one part of a key, in characters. */
const LONGEST_PART = 512

/**
 * @param reserved names that no part of the key in the query may have
 * @param path such as `/prices/:mint`; parts of the key that are not in it are query parameters
 * @param longest the longest text of one part, in characters
 * @throws ConfigError when path and schemas don't fit
 */
export function keyReader(
  where: string,
  path: string,
  schemas: unknown,
  reserved: readonly string[] = OURS,
  longest: number = LONGEST_PART,
): KeyReader {
  const segments = path.split('/').slice(1)
  if (!path.startsWith('/') || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new ConfigError(where, 'path', 'a path such as "/prices/:mint"', path)
  }
  if (!isRecord(schemas) || !Object.values(schemas).every(isSchema)) {
    throw new ConfigError(
      where,
      'key',
      'an object with a schema (zod, valibot, arktype, …) for each part of the key',
      schemas,
    )
  }
  const parts = schemas as KeySchemas
  const inPath = segments.filter((segment) => segment.startsWith(':')).map((segment) => segment.slice(1))
  for (const name of inPath) {
    if (parts[name] === undefined)
      throw new ConfigError(where, `key.${name}`, `a schema, since ${path} has :${name}`, undefined)
  }
  for (const name of reserved) {
    if (parts[name] === undefined || inPath.includes(name)) continue
    throw new ConfigError(where, `key.${name}`, `another name, since \`?${name}=\` chooses the form of an answer`, name)
  }
  const inQuery = Object.keys(parts)
    .filter((name) => !inPath.includes(name))
    .sort()

  function topicOf(key: Readonly<Record<string, unknown>>): string {
    const filled = segments.map((segment) =>
      segment.startsWith(':') ? encodeURIComponent(String(key[segment.slice(1)])) : segment,
    )
    const query = inQuery
      .filter((name) => key[name] !== undefined)
      .map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(String(key[name]))}`)
    return `/${filled.join('/')}${query.length === 0 ? '' : `?${query.join('&')}`}`
  }

  function read(raw: Readonly<Record<string, unknown>>): ReadKey {
    const key: Record<string, unknown> = {}
    for (const [name, schema] of Object.entries(parts)) {
      const value = normal(name, raw[name])
      if (typeof value === 'string' && value.length > longest) {
        throw new WeirError('bad_key', `${name}: expected at most ${longest} characters, got ${value.length}`)
      }
      const result = schema['~standard'].validate(value)
      if (result instanceof Promise) {
        // zod gives one too when a schema throws: a rejection that nothing handles would end the process.
        result.catch(() => {})
        const expected = 'a schema that answers at once, got one that waits or throws'
        throw new WeirError('internal', `${where}: key.${name}: expected ${expected}`)
      }
      if (result.issues !== undefined) {
        throw new WeirError(
          'bad_key',
          `${name}: ${result.issues[0]?.message ?? 'refused by its schema'}, got ${show(value)}`,
        )
      }
      if (typeof result.value === 'object' && result.value !== null) {
        // Two objects would have one topic, since both are written alike.
        const expected = 'a schema that makes a text, a number or a boolean'
        throw new WeirError('internal', `${where}: key.${name}: expected ${expected}, got ${show(result.value)}`)
      }
      key[name] = result.value
    }
    return { topic: topicOf(key), key: Object.freeze(key) }
  }

  function fromAddress(
    parameters: Readonly<Record<string, string>>,
    query: string,
    chosen?: readonly string[],
  ): ReadKey {
    const raw: Record<string, unknown> = {}
    for (const name of inPath) raw[name] = decoded(name, parameters[name] ?? '')
    const given = new URLSearchParams(query)
    for (const name of inQuery) raw[name] = given.get(name) ?? undefined
    const ours = chosen ?? (given.get('as') === 'poll' ? OURS : ['as'])
    for (const name of given.keys()) {
      if (!ours.includes(name) && !inQuery.includes(name)) {
        if (OF_FORMS.includes(name)) {
          const here = [...inQuery, ...ours].join(', ')
          throw new WeirError('bad_key', `${name}: ${path} does not take it in this form, only ${here}; see as`)
        }
        const known = inQuery.length === 0 ? 'no query parameters' : `only ${inQuery.join(', ')}`
        throw new WeirError('bad_key', `${name}: ${path} takes ${known}`)
      }
    }
    return read(raw)
  }

  return {
    schemas: parts,
    inQuery,
    fromParts: read,
    fromAddress,
    fromTopic(topic) {
      const [pathname = '', query = ''] = topic.split('?')
      const parameters: Record<string, string> = {}
      for (const [index, segment] of pathname.split('/').slice(1).entries()) {
        const name = segments[index]
        if (name?.startsWith(':')) parameters[name.slice(1)] = segment
      }
      return fromAddress(parameters, query)
    },
  }
}

/**
 * The same keys without those whose address another part of the app serves: two values must never have one topic.
 *
 * @param otherPath the path that serves an address, where that is not the path of these keys
 */
export function keysApart(keys: KeyReader, otherPath: (address: string) => string | undefined): KeyReader {
  function checked(readKey: ReadKey): ReadKey {
    const other = otherPath(readKey.topic)
    if (other === undefined) return readKey
    throw new WeirError('bad_key', `${readKey.topic}: expected a key of its own address, got one that ${other} serves`)
  }
  return {
    ...keys,
    fromParts: (parts) => checked(keys.fromParts(parts)),
    fromAddress: (parameters, query, ours) => checked(keys.fromAddress(parameters, query, ours)),
    fromTopic: (topic) => checked(keys.fromTopic(topic)),
  }
}

/** One form for all writings of a character: the same key must not be two topics. */
function normal(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (!value.isWellFormed()) throw new WeirError('bad_key', `${name}: expected whole characters, got ${show(value)}`)
  return value.normalize('NFC')
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new WeirError('bad_key', `${name}: expected percent-encoded UTF-8, got ${show(text)}`)
  }
}

export function isSchema(value: unknown): value is StandardSchemaV1 {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value
}
