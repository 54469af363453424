/**
 * JSON with exact integers beyond 2^53: they are parsed as bigints and written with the same digits. Solana's rent
 * epoch and nanosecond timestamps are such numbers, and plain `JSON.parse` would change their last digits.
 */

declare global {
  // Stage 4 of TC39's "JSON.parse source text access", in Node since 22. TypeScript does not know it yet.
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown
    rawJSON(text: string): object
    isRawJSON(value: unknown): boolean
  }
}

/**
 * The deepest nesting of arrays and objects that a client may send. No legitimate message is deeper, and it cannot
 * exhaust the stack.
 */
export const DEEPEST = 100

/** Whether arrays and objects nest deeper than `DEEPEST`. Processing them could exhaust the stack. */
export function isTooDeep(text: string): boolean {
  let depth = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === QUOTE) quoted = !quoted
    else if (quoted) index += code === BACKSLASH ? 1 : 0
    else if (OPENING.includes(code)) {
      depth += 1
      if (depth > DEEPEST) return true
    } else if (CLOSING.includes(code)) depth -= 1
  }
  return false
}

const QUOTE = 34
const BACKSLASH = 92
const OPENING = [91, 123]
const CLOSING = [93, 125]

/**
 * Only text with this many digits in a row, or such an exponent, can contain a large number. All other text takes the
 * fast path.
 */
const LARGE_NUMBER = /\d{16}|\d[eE]\+?\d{3}/

/**
 * Parses JSON, after a byte order mark if there is one (RFC 8259, 8.1).
 *
 * @throws SyntaxError for invalid JSON, or for a number that no double is near, such as 1e400: it would become null
 */
export function parseJson(text: string): unknown {
  const plain = withoutMark(text)
  if (!LARGE_NUMBER.test(plain)) return JSON.parse(plain)
  return JSON.parse(plain, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || Number.isSafeInteger(value)) return value
    if (/^-?\d+$/.test(source)) return BigInt(source)
    if (!Number.isFinite(value))
      throw new SyntaxError(`expected a number that a double holds, got ${source.slice(0, 20)}`)
    return value
  })
}

export function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/** Matches numbers that `JSON.stringify` would write differently: long ones, fractions, exponents, negative zero. */
const OTHERWISE = /[[:,\s](?:-0|-?\d{16}|-?\d+[.eE])/

/**
 * Parses JSON for serialization only: each number keeps its original digits.
 *
 * @throws SyntaxError for invalid JSON
 */
export function parseToWrite(text: string): unknown {
  if (!OTHERWISE.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  )
}

/** Serializes a value; undefined if it has no JSON form, like a function. @throws TypeError for a cycle */
export function stringifyJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // Most likely the value contains a bigint. A replacer is several times slower, so only such values use it.
    return JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'bigint' ? JSON.rawJSON(String(part)) : part,
    )
  }
}

/** The deepest nesting of a value. A cycle exceeds it. */
const MOST_LEVELS = 1000

/** A part of a value that JSON cannot carry. Cycles have no path. */
interface Unwritable {
  readonly got: string
  readonly path: string
}

/**
 * The first part of a value that JSON cannot carry, such as `NaN at prices[3].value`; undefined if there is none. JSON
 * carries null, booleans, strings, finite numbers, bigints, arrays and plain objects, whose undefined properties are
 * omitted. Anything else would silently change: NaN and undefined array elements to null, a Map to {}, a Date to a
 * string, and instances would lose their class.
 */
export function unwritable(value: unknown): string | undefined {
  const found = unwritableIn(value, 0)
  if (found === undefined) return undefined
  const path = found.path.replace(/^\./, '')
  return path === '' ? found.got : `${found.got} at ${path}`
}

function unwritableIn(value: unknown, depth: number): Unwritable | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : { got: String(value), path: '' }
    case 'object':
      break
    default:
      return { got: value === undefined ? 'undefined' : `a ${typeof value}`, path: '' }
  }
  if (value === null) return undefined
  if (depth === MOST_LEVELS) return { got: `a cycle, or more than ${MOST_LEVELS} levels`, path: '' }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = unwritableIn(value[index], depth + 1)
      if (found !== undefined) return within(`[${index}]`, found)
    }
    return undefined
  }
  if (!isPlain(value)) return { got: `an object of class ${value.constructor?.name ?? 'unknown'}`, path: '' }
  for (const key in value) {
    const part = value[key]
    const found = part === undefined ? undefined : unwritableIn(part, depth + 1)
    if (found !== undefined) return within(NAME.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, found)
  }
  return undefined
}

const NAME = /^[A-Za-z_$][\w$]*$/

/** Prepends a step to the path and cuts long paths. */
function within(step: string, { got, path }: Unwritable): Unwritable {
  const whole = step + path
  return { got, path: whole.length > 120 ? `${whole.slice(0, 119)}…` : whole }
}

/** Whether an object is plain, in any realm. */
function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}
