import { type GraphQLFieldConfigArgumentMap, GraphQLNonNull } from 'graphql'
import type { KeyReader } from '../../topic/key.ts'
import { jsonSchemaOf, takes } from '../json-schema.ts'
import type { Given } from './context.ts'
import { namesFor } from './names.ts'
import { keyType } from './types.ts'

/** The parts of a key as arguments. */
export interface KeyArguments {
  readonly args: GraphQLFieldConfigArgumentMap
  partsOf(given: Given): Readonly<Record<string, unknown>>
}

/** @param taken names of arguments that are given; those of the key are added */
export function keyArguments({ schemas }: KeyReader, taken: Set<string>): KeyArguments {
  const names = namesFor(Object.keys(schemas), taken)
  const each = Object.entries(schemas).map(([part, schema]) => {
    const type = keyType(jsonSchemaOf(schema, 'input'))
    return [names.get(part), { type: takes(schema, undefined) ? type : new GraphQLNonNull(type) }]
  })
  return {
    args: Object.fromEntries(each),
    // Null is the same as nothing: no part of a key can be null.
    partsOf: (given) => Object.fromEntries([...names].map(([part, name]) => [part, given[name] ?? undefined])),
  }
}
