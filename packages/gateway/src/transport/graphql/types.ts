import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLFloat,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLNullableOutputType,
  GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLScalarType,
  GraphQLString,
  Kind,
  valueFromASTUntyped,
} from 'graphql'
import { show } from '../../errors.ts'
import { isRecord } from '../../options.ts'
import type { JsonSchema } from '../json-schema.ts'
import { capital, nameFor, namesFor } from './names.ts'

/** The largest whole number that GraphQL's Int takes (spec, 3.5.1). */
const LARGEST_INT = 2 ** 31 - 1

const Json = new GraphQLScalarType({
  name: 'JSON',
  description: 'Any JSON value, as it came.',
  coerceInputValue: (value) => value,
  coerceInputLiteral: (node) => (node.kind === Kind.INT ? whole(node.value) : valueFromASTUntyped(node)),
})

const Integer = new GraphQLScalarType<number | bigint>({
  name: 'Integer',
  description:
    'A whole number of any size, digit by digit as it came. Those beyond 2^53 want a reader that keeps them.',
  coerceInputValue(value) {
    // A larger one has lost its last digits on its way through JSON; in a document it has them.
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    throw new GraphQLError(`expected a whole number up to 2^53, got ${show(value)}`)
  },
  coerceInputLiteral(node) {
    if (node.kind === Kind.INT) return whole(node.value)
    throw new GraphQLError('expected a whole number', { nodes: [node] })
  },
})

function whole(digits: string): number | bigint {
  const value = Number(digits)
  return Number.isSafeInteger(value) ? value : BigInt(digits)
}

/** Names of types that no value may take. */
export const TAKEN = ['Query', 'Subscription', 'String', 'Int', 'Float', 'Boolean', 'ID', Json.name, Integer.name]

/**
 * The type of a value, made from its JSON Schema; where GraphQL has no type for it, that is `JSON`. It may be null, as errors are.
 *
 * @param taken names of types that are given; those of now are added
 */
export function valueType(name: string, root: JsonSchema, taken: Set<string>): GraphQLOutputType {
  /** A type that holds itself is made once. */
  const made = new Map<unknown, GraphQLObjectType>()

  function typeOf(given: unknown, name: string): GraphQLOutputType {
    const { schema, nullable } = known(given, root)
    const type = bareType(schema, name)
    return nullable || type === Json ? type : new GraphQLNonNull(type)
  }

  function bareType(schema: JsonSchema, name: string): GraphQLNullableOutputType {
    if (schema.type === 'array' && schema.prefixItems === undefined && schema.items !== undefined)
      return new GraphQLList(typeOf(schema.items, `${name}Item`))
    const { type, properties } = schema
    if (type !== 'object' || !isRecord(properties) || Object.keys(properties).length === 0) return leafType(schema)
    const before = made.get(properties)
    if (before !== undefined) return before
    const required = Array.isArray(schema.required) ? schema.required : []
    const names = namesFor(Object.keys(properties))
    const typeName = nameFor(name, taken)
    const object = new GraphQLObjectType({
      name: typeName,
      fields: () =>
        Object.fromEntries(
          Object.entries(properties).map(([property, part]) => {
            const field = names.get(property) ?? property
            const type = typeOf(part, typeName + capital(field))
            const resolve = (value: Readonly<Record<string, unknown>>) => value[property]
            return [field, { type: required.includes(property) ? type : optional(type), resolve }]
          }),
        ),
    })
    made.set(properties, object)
    return object
  }

  return optional(typeOf(root, capital(name)))
}

/** The type of a part of a key. */
export function keyType(root: JsonSchema): GraphQLScalarType {
  return leafType(known(root, root).schema)
}

function optional(type: GraphQLOutputType): GraphQLNullableOutputType {
  return type instanceof GraphQLNonNull ? type.ofType : type
}

function leafType({ type, minimum, maximum }: JsonSchema): GraphQLScalarType {
  if (type === 'string') return GraphQLString
  if (type === 'boolean') return GraphQLBoolean
  if (type === 'number') return GraphQLFloat
  if (type !== 'integer') return Json
  const small = (bound: unknown) => typeof bound === 'number' && Math.abs(bound) <= LARGEST_INT
  return small(minimum) && small(maximum) ? GraphQLInt : Integer
}

/** What a schema says when what it refers to is put in its place, and null is taken out. */
function known(given: unknown, root: JsonSchema): { readonly schema: JsonSchema; readonly nullable: boolean } {
  if (!isRecord(given)) return { schema: {}, nullable: true }
  if (typeof given.$ref === 'string') return known(referred(given.$ref, root), root)
  const { type } = given
  const choices =
    given.anyOf ?? given.oneOf ?? (Array.isArray(type) ? type.map((type) => ({ ...given, type })) : undefined)
  if (!Array.isArray(choices)) return { schema: given, nullable: type === undefined || type === 'null' }
  const values = choices.filter((choice) => !isRecord(choice) || choice.type !== 'null')
  if (values.length !== 1) return { schema: {}, nullable: true }
  const { schema, nullable } = known(values[0], root)
  return { schema, nullable: nullable || values.length < choices.length }
}

/** A part of a schema by its JSON Pointer (RFC 6901). */
function referred(reference: string, root: JsonSchema): unknown {
  const steps = reference.split('/').slice(1)
  return steps.reduce<unknown>((part, step) => {
    const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    return isRecord(part) ? part[name] : undefined
  }, root)
}
