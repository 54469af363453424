import { GraphQLObjectType, GraphQLSchema, printSchema } from 'graphql'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { jsonSchemaOf } from '../json-schema.ts'
import { keyType, valueType } from './types.ts'

function printed(schema: z.ZodType): string {
  const type = valueType('price', jsonSchemaOf(schema, 'output'), new Set())
  const query = new GraphQLObjectType({ name: 'Query', fields: { price: { type } } })
  return printSchema(new GraphQLSchema({ query })).replaceAll(/""".*?"""\n/gs, '')
}

test('a value has the types that its schema says; what GraphQL has no type for is JSON', () => {
  const schema = z.object({
    text: z.string(),
    maybe: z.number().optional(),
    none: z.boolean().nullable(),
    small: z.int().min(0).max(9),
    whole: z.int(),
    list: z.array(z.string().nullable()),
    inner: z.object({ deep: z.object({ a: z.literal('a') }) }),
    pair: z.tuple([z.string(), z.number()]),
    either: z.union([z.string(), z.number()]),
    record: z.record(z.string(), z.number()),
    empty: z.object({}),
    anything: z.unknown(),
    moment: z.string().transform((text) => new Date(text)),
  })
  expect(printed(schema)).toBe(`type Query {
  price: Price
}

type Price {
  text: String!
  maybe: Float
  none: Boolean
  small: Int!
  whole: Integer!
  list: [String]!
  inner: PriceInner!
  pair: JSON
  either: JSON
  record: JSON
  empty: JSON
  anything: JSON
  moment: JSON
}

scalar Integer

type PriceInner {
  deep: PriceInnerDeep!
}

type PriceInnerDeep {
  a: String!
}

scalar JSON`)
})

test('a value may hold itself', () => {
  const Tree = z.object({
    name: z.string(),
    get branches() {
      return z.array(Tree)
    },
    get parent() {
      return Tree.nullable()
    },
  })
  expect(printed(Tree)).toContain('branches: [Price!]!\n  parent: Price\n')
})

test('a part of a key has the type that its schema takes', () => {
  expect(
    [z.string(), z.int(), z.number(), z.boolean(), z.coerce.number().int().max(9).min(1)].map((schema) =>
      String(keyType(jsonSchemaOf(schema, 'input'))),
    ),
  ).toEqual(['String', 'Integer', 'Float', 'Boolean', 'Int'])
})
