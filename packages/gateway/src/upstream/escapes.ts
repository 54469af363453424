/** A character in text, and how many bytes it takes there. */
export interface Character {
  readonly code: number
  readonly length: number
}

/** Bytes of which more may follow, unless they have ended. */
export interface Text {
  readonly bytes: Buffer
  readonly ended: boolean
}

/** Escapes may be nested this deep: JSON in a form in JSON. */
const MOST_LAYERS = 3
/** Of the digits of an entity, which may begin with zeros. */
const MOST_DIGITS = 16
/** Characters of UTF-16 and UTF-32 have these before them, or after the one before. */
const MOST_ZEROS = 3

/** More bytes are needed. */
export const PARTIAL = undefined
const END: Character = { code: -1, length: 0 }
const RAW: readonly Character[] = Array.from({ length: 256 }, (_, code) => ({ code, length: 1 }))

const [PERCENT, BACKSLASH, AMPERSAND, HASH, SEMICOLON, OPEN, CLOSE] = [...'%\\&#;{}'].map(codeOf) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
]
const [LOWER_U, UPPER_U, LOWER_X, UPPER_X] = [...'uUxX'].map(codeOf) as [number, number, number, number]

const CONTROLS: ReadonlyMap<number, number> = new Map(
  Object.entries({ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v' }).map(([letter, one]) => [
    codeOf(letter),
    codeOf(one),
  ]),
)

/** The entities of ASCII (HTML, 13.5), by their names in lower case. */
const ENTITIES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', excl: '!', num: '#', dollar: '$', percnt: '%' },
    ...{ lpar: '(', rpar: ')', ast: '*', plus: '+', comma: ',', period: '.', sol: '/', colon: ':', semi: ';' },
    ...{ equals: '=', quest: '?', commat: '@', lsqb: '[', lbrack: '[', bsol: '\\', rsqb: ']', rbrack: ']', hat: '^' },
    ...{ lowbar: '_', grave: '`', lcub: '{', lbrace: '{', verbar: '|', vert: '|', rcub: '}', rbrace: '}' },
  }).map(([name, one]) => [name, codeOf(one)]),
)
const LONGEST_NAME = 6

/** Whether an escape may begin with this byte. */
export function isEscape(byte: number | undefined): boolean {
  return byte === PERCENT || byte === BACKSLASH || byte === AMPERSAND
}

/**
 * All that the bytes from here on may mean as one character, with no, one, two or three layers of escapes undone, the longest first; `PARTIAL`
 * where the text goes on before that is known.
 */
export function charactersAt(text: Text, at: number): readonly Character[] | typeof PARTIAL {
  const all: Character[] = []
  for (let layers = MOST_LAYERS; layers >= 0; layers--) {
    const one = read(text, at, layers)
    if (one === PARTIAL) return PARTIAL
    // Of `\n` also the letter: what is covered has to begin where the escape does.
    if (layers > 0 && one.code >= 0 && one.code < 32) {
      const letter = [...CONTROLS].find(([, code]) => code === one.code)?.[0]
      if (letter !== undefined) all.push({ code: letter, length: one.length })
    }
    const joined = one.code < 0x80 ? one : join(text, at, layers, one)
    if (joined === PARTIAL) return PARTIAL
    if (joined !== one) all.push(joined)
    all.push(one)
  }
  return all.sort((a, b) => b.length - a.length)
}

/** One character with that many layers of escapes undone. */
function read(text: Text, at: number, layers: number): Character | typeof PARTIAL {
  if (layers === 0) return raw(text, at)
  const first = read(text, at, layers - 1)
  if (first === PARTIAL) return PARTIAL
  if (first.code === PERCENT) return percent(text, at, layers - 1, first)
  if (first.code === BACKSLASH) return backslash(text, at, layers - 1, first)
  if (first.code === AMPERSAND) return entity(text, at, layers - 1, first)
  return first
}

function raw({ bytes, ended }: Text, at: number): Character | typeof PARTIAL {
  let here = at
  while (bytes[here] === 0 && here - at < MOST_ZEROS) here += 1
  const byte = bytes[here]
  if (byte === undefined) return ended ? END : PARTIAL
  return here === at ? RAW[byte] : { code: byte, length: here + 1 - at }
}

/** `%2F`, and `%u002F` of old browsers. */
function percent(text: Text, at: number, layers: number, first: Character): Character | typeof PARTIAL {
  const start = at + first.length
  const next = read(text, start, layers)
  if (next === PARTIAL) return PARTIAL
  const wide = next.code === LOWER_U || next.code === UPPER_U
  const begin = wide ? start + next.length : start
  return number(text, begin, layers, { least: wide ? 4 : 2, most: wide ? 4 : 2, radix: 16 }, first, begin - at)
}

/** In JSON and other languages: `\/`, `\u002f`, `\u{2f}`, `\x2f`. */
function backslash(text: Text, at: number, layers: number, first: Character): Character | typeof PARTIAL {
  const next = read(text, at + first.length, layers)
  if (next === PARTIAL) return PARTIAL
  if (next.code < 0) return first
  const length = first.length + next.length
  const itself = { code: CONTROLS.get(next.code) ?? next.code, length }
  if (next.code === LOWER_X) return number(text, at + length, layers, { least: 2, most: 2, radix: 16 }, itself, length)
  if (next.code === UPPER_U) return number(text, at + length, layers, { least: 8, most: 8, radix: 16 }, itself, length)
  if (next.code !== LOWER_U) return itself
  const open = read(text, at + length, layers)
  if (open === PARTIAL) return PARTIAL
  if (open.code !== OPEN) return number(text, at + length, layers, { least: 4, most: 4, radix: 16 }, itself, length)
  const start = length + open.length
  const inside = number(text, at + start, layers, { least: 1, most: MOST_DIGITS, radix: 16 }, itself, start)
  if (inside === PARTIAL || inside === itself) return inside
  const close = read(text, at + inside.length, layers)
  if (close === PARTIAL) return PARTIAL
  return close.code === CLOSE ? { code: inside.code, length: inside.length + close.length } : itself
}

/** In HTML: `&amp;`, `&#47;`, `&#x2f;`, of numbers also without the semicolon. */
function entity(text: Text, at: number, layers: number, first: Character): Character | typeof PARTIAL {
  const next = read(text, at + first.length, layers)
  if (next === PARTIAL) return PARTIAL
  if (next.code !== HASH) return named(text, at, layers, first)
  let start = first.length + next.length
  const mark = read(text, at + start, layers)
  if (mark === PARTIAL) return PARTIAL
  const isHex = mark.code === LOWER_X || mark.code === UPPER_X
  if (isHex) start += mark.length
  const digits = { least: 1, most: MOST_DIGITS, radix: isHex ? 16 : 10 }
  const inside = number(text, at + start, layers, digits, first, start)
  if (inside === PARTIAL || inside === first) return inside
  const close = read(text, at + inside.length, layers)
  if (close === PARTIAL) return PARTIAL
  return close.code === SEMICOLON ? { code: inside.code, length: inside.length + close.length } : inside
}

function named(text: Text, at: number, layers: number, first: Character): Character | typeof PARTIAL {
  let name = ''
  for (let length = first.length; name.length <= LONGEST_NAME; ) {
    const next = read(text, at + length, layers)
    if (next === PARTIAL) return PARTIAL
    length += next.length
    if (next.code === SEMICOLON) {
      const code = ENTITIES.get(name)
      return code === undefined ? first : { code, length }
    }
    const letter = next.code | 32
    if (letter < 97 || letter > 122) return first
    name += String.fromCharCode(letter)
  }
  return first
}

interface Digits {
  readonly least: number
  readonly most: number
  readonly radix: number
}

/** What is meant by digits that begin after the first `before` bytes of an escape, or `other` where there are too few. */
function number(
  text: Text,
  from: number,
  layers: number,
  { least, most, radix }: Digits,
  other: Character,
  before: number,
): Character | typeof PARTIAL {
  let code = 0
  let count = 0
  let length = 0
  while (count < most) {
    const next = read(text, from + length, layers)
    if (next === PARTIAL) return PARTIAL
    const value = digit(next.code)
    if (value >= radix) break
    code = code * radix + value
    length += next.length
    count += 1
  }
  return count < least || code > 0x10ffff ? other : { code, length: before + length }
}

/** A character of several bytes of UTF-8, or of two units of UTF-16. */
function join(text: Text, at: number, layers: number, first: Character): Character | typeof PARTIAL {
  const { code } = first
  const more = code >= 0xc2 && code < 0xf5 ? (code < 0xe0 ? 1 : code < 0xf0 ? 2 : 3) : 0
  const isPair = code >= 0xd800 && code < 0xdc00
  let { length } = first
  let joined = isPair ? code - 0xd800 : code & (0x3f >> more)
  for (let count = isPair ? 1 : more; count > 0; count--) {
    const next = read(text, at + length, layers)
    if (next === PARTIAL) return PARTIAL
    const [low, bits] = isPair ? [0xdc00, 10] : [0x80, 6]
    if (next.code < low || next.code >= low + (1 << bits)) return first
    joined = (joined << bits) | (next.code - low)
    length += next.length
  }
  const point = isPair ? joined + 0x10000 : joined
  return length === first.length || point > 0x10ffff ? first : { code: point, length }
}

/** More than any radix where it is none. */
function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return code > 0 && letter >= 97 && letter <= 102 ? letter - 87 : 99
}

function codeOf(one: string): number {
  return one.charCodeAt(0)
}
