import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import { parseToWrite } from '../../json.ts'

/** How deep params may lie in each other: more than any method asks for, and no stack runs over. */
const DEEPEST = 32

/** What is beyond plain ASCII is written as escapes: no stage takes two writings of a letter for one, and addresses hold it. */
const BEYOND = /[^ -~]/g

/**
 * Params as the one text they have: without blanks, keys of objects in order. None at all are an empty list. Numbers stay as they
 * were written, since nodes tell `1` from `1.0`.
 *
 * @param params as `parseToWrite` reads them
 * @returns undefined for what can't be params (JSON-RPC 2.0, 4.2), or lies too deep
 */
export function paramsText(params: unknown): string | undefined {
  if (params === undefined) return '[]'
  if (typeof params !== 'object' || params === null || JSON.isRawJSON(params)) return undefined
  const text = written(params, DEEPEST)
  return text?.replace(BEYOND, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function written(value: unknown, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) return JSON.stringify(value)
  if (depth === 0) return undefined
  const parts: string[] = []
  if (Array.isArray(value)) {
    for (const part of value) {
      const text = written(part, depth - 1)
      if (text === undefined) return undefined
      parts.push(text)
    }
    return `[${parts.join()}]`
  }
  const object = value as Readonly<Record<string, unknown>>
  for (const name of Object.keys(object).sort()) {
    const text = written(object[name], depth - 1)
    if (text === undefined) return undefined
    parts.push(`${JSON.stringify(name)}:${text}`)
  }
  return `{${parts.join()}}`
}

/** What params are, for messages. */
export const PARAMS_EXPECTED: string = `expected a list or an object, at most ${DEEPEST} levels deep`

/** Params in an address, as the text that all writings of them have. */
export const Params: StandardSchemaV1<string | undefined, string> & StandardJSONSchemaV1 = {
  '~standard': {
    version: 1,
    vendor: 'weir',
    validate(given) {
      const text = given === undefined ? '[]' : paramsText(parsed(given))
      return text === undefined ? { issues: [{ message: PARAMS_EXPECTED }] } : { value: text }
    },
    jsonSchema: {
      input: () => ({ type: 'string', default: '[]', description: 'The params of the call, as JSON.' }),
      output: () => ({ type: 'string' }),
    },
  },
}

/** Null, which params can't be, for what is no JSON. */
function parsed(given: unknown): unknown {
  try {
    return parseToWrite(String(given))
  } catch {
    return null
  }
}
