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

/** Whether a value holds a number that JSON has no text for: it would be written as null. */
export function hasNoText(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some(hasNoText)
}
