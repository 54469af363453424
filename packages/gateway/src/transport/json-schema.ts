import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'

/** A JSON Schema, or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A schema as JSON Schema, where it can say itself (Standard JSON Schema); else anything goes. */
export function jsonSchemaOf(schema: StandardSchemaV1, side: 'input' | 'output'): JsonSchema {
  const standard: StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props> = schema['~standard']
  // A transform has no JSON Schema. Zod then gives up the whole value, unless that part may stay open.
  const options = standard.vendor === 'zod' ? { libraryOptions: { unrepresentable: 'any' } } : {}
  try {
    const { $schema: _dialect, ...said } = standard.jsonSchema?.[side]({ target: 'draft-2020-12', ...options }) ?? {}
    return said
  } catch {
    return {}
  }
}

/** Whether a schema takes a value. */
export function takes(schema: StandardSchemaV1, value: unknown): boolean {
  const result = schema['~standard'].validate(value)
  // zod gives a promise when a schema throws: its rejection must not end the process.
  if (result instanceof Promise) result.catch(() => {})
  return !(result instanceof Promise) && result.issues === undefined
}
