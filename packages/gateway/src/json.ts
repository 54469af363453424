/**
 * JSON in which whole numbers beyond 2^53 pass unharmed: they are read as bigint and written as they came. Solana's rent epoch
 * and nanosecond clocks are such numbers, and `JSON.parse` alone would change their last digits.
 */

declare global {
  // Stage 4 of TC39's "JSON.parse source text access", in Node since 22; TypeScript does not know it yet.
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown
    rawJSON(text: string): object
    isRawJSON(value: unknown): boolean
  }
}

/** Lists and objects inside each other that a client may send: more than any message has, and nothing that could exhaust the stack. */
export const DEEPEST = 100

/** Whether the lists and objects of a JSON text nest deeper than `DEEPEST`: to read or to write them again would exhaust the stack. */
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

/** Only a text with so many digits in a row, or such an exponent, can hold such a number; all others are read the quick way. */
const LARGE_NUMBER = /\d{16}|\d[eE]\+?\d{3}/

/**
 * A byte order mark is no part of the text (RFC 8259, 8.1).
 *
 * @throws SyntaxError when the text is no JSON, or holds a number that no double is near, such as 1e400: it would become null
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

/** Where a number stands that would be written otherwise than it came: a long one, a fraction, an exponent, a zero with a sign. */
const OTHERWISE = /[[:,\s](?:-0|-?\d{16}|-?\d+[.eE])/

/**
 * The same for what is only to be written again, by whatever writer: every number is written as it came.
 *
 * @throws SyntaxError when the text is no JSON
 */
export function parseToWrite(text: string): unknown {
  if (!OTHERWISE.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  )
}

/** Undefined when the value has no JSON, such as a function. @throws TypeError when it is circular */
export function stringifyJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // A bigint is the likely reason; a replacer is several times slower, so only such values pay for it.
    return JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'bigint' ? JSON.rawJSON(String(part)) : part,
    )
  }
}

/** Lists and objects inside each other that a value may have: a cycle has more. */
const MOST_LEVELS = 1000

/** Something in a value that JSON does not carry. Where it is is not said of a cycle. */
interface Unwritable {
  readonly got: string
  readonly path: string
}

/**
 * What JSON does not carry of a value, such as `NaN at prices[3].value`; undefined when a reader gets back all of it. JSON carries null, booleans,
 * texts, finite numbers, bigints, lists and plain objects, of which properties that are undefined are left out. Everything else would come back as
 * something else without a word: NaN and what is undefined in a list as null, a Map as {}, a Date as a text, an object without its class.
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

/** The outermost parts of a long path say enough. */
function within(step: string, { got, path }: Unwritable): Unwritable {
  const whole = step + path
  return { got, path: whole.length > 120 ? `${whole.slice(0, 119)}…` : whole }
}

/** Whether an object has no class, in whatever realm it was made. */
function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}
