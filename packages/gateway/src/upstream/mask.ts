import { charactersAt, isEscape, PARTIAL, type Text } from './escapes.ts'

/**
 * Finds secrets in text, however each of their characters is written, and writes stars over them. A mask is as long as what it covers: lengths,
 * ranges and offsets stay true, and JSON stays JSON.
 */
export interface Mask {
  /** Whether there is anything to find. */
  readonly isEmpty: boolean
  bytes(bytes: Buffer): Buffer
  text(text: string): string
  /** For bytes that come in pieces: a secret may lie in several. */
  stream(): MaskStream
}

export interface MaskStream {
  /** What of the bytes so far can be passed on: the end may be the beginning of a secret. */
  push(piece: Uint8Array): Buffer
  /** The rest. */
  end(): Buffer
}

/** A secret that is shorter could be found anywhere by chance: it counts only where it stands alone, in the case it is written in. */
const SHORT = 8
/** Shorter ones are left: hiding them would tell more than it hides, and turn text to noise. */
const SHORTEST = 4

const [STAR, PLUS, SPACE] = [...'*+ '].map((one) => one.charCodeAt(0)) as [number, number, number]

const NO = -1

/** A secret as it is looked for. */
interface Wanted {
  /** Its code points, in lower case where case is of no matter. */
  readonly codes: readonly number[]
  /** In UTF-8. */
  readonly bytes: number
  readonly isShort: boolean
}

export function createMask(secrets: Iterable<string>): Mask {
  const all = [...new Set(secrets)]
    .map(wantedOf)
    .filter(({ bytes }) => bytes >= SHORTEST)
    // The longer first: one may begin with another.
    .sort((a, b) => b.bytes - a.bytes)
  const firsts = new Set(all.map(({ codes: [first = 0] }) => first))
  /** By the byte that a text may begin with: most texts hold few of them. */
  const byFirst = Array.from({ length: 256 }, (_, byte) => {
    const others = all.filter(({ codes: [first = 0] }) => startsOf(first).has(byte))
    return others.length > 0 || (isEscape(byte) && all.length > 0) ? others : undefined
  })

  /** Those that may begin here. */
  function candidates(text: Text, at: number): readonly Wanted[] | undefined {
    const byte = text.bytes[at] as number
    const plain = byFirst[byte]
    if (plain === undefined || !isEscape(byte)) return plain
    const characters = charactersAt(text, at)
    if (characters === PARTIAL) return all
    // Most escapes are of characters that no secret begins with.
    if (!characters.some(({ code }) => firsts.has(code) || firsts.has(folded(code)))) return plain
    const codes = new Set(characters.flatMap(({ code }) => [code, folded(code)]))
    return all.filter(({ codes: [first = 0] }) => codes.has(first))
  }

  /** Writes over what is found; returns from where on more bytes have to be known. */
  function cover(text: Text, found: () => Buffer): number {
    const { bytes, ended } = text
    const { length } = bytes
    for (let at = 0; at < length; at++) {
      for (const wanted of candidates(text, at) ?? []) {
        const end = match(text, at, wanted)
        if (end === NO) continue
        if (end === PARTIAL) return at
        if (wanted.isShort) {
          if (isWord(bytes[at - 1]) && !endsEscape(bytes, at)) continue
          if (end === length && !ended) return at
          if (isWord(bytes[end])) continue
        }
        const target = found()
        // In UTF-16 every other byte is 0, and stays so.
        for (let here = at; here < end; here++) if (bytes[here] !== 0) target[here] = STAR
        at = end - 1
        break
      }
    }
    return length
  }

  function bytesOf(bytes: Buffer): Buffer {
    let copy: Buffer | undefined
    cover({ bytes, ended: true }, () => {
      copy ??= Buffer.from(bytes)
      return copy
    })
    return copy ?? bytes
  }

  return {
    isEmpty: all.length === 0,
    bytes: bytesOf,
    text(text) {
      const bytes = Buffer.from(text)
      const masked = bytesOf(bytes)
      return masked === bytes ? text : masked.toString()
    },
    stream() {
      let held = Buffer.alloc(0)
      return {
        push(piece) {
          const bytes = Buffer.concat([held, piece])
          const until = cover({ bytes, ended: false }, () => bytes)
          held = bytes.subarray(until)
          return bytes.subarray(0, until)
        },
        end() {
          const rest = bytesOf(held)
          held = Buffer.alloc(0)
          return rest
        },
      }
    },
  }
}

function wantedOf(secret: string): Wanted {
  const bytes = Buffer.byteLength(secret)
  const isShort = bytes < SHORT
  const codes = [...secret].map((one) => one.codePointAt(0) as number)
  return { codes: isShort ? codes : codes.map(folded), bytes, isShort }
}

/**
 * Where a secret ends that begins at `at`; `NO`, or `PARTIAL` when the text ends before that is known. A character may be read in several ways, of
 * which each is followed, once: `dead` holds where that led nowhere.
 */
function match(text: Text, at: number, wanted: Wanted, index = 0, dead = new Set<number>()): number | typeof PARTIAL {
  const { codes, isShort } = wanted
  let here = at
  for (let next = index; next < codes.length; next++) {
    const byte = text.bytes[here]
    if (byte === undefined) return text.ended ? NO : PARTIAL
    const code = codes[next] as number
    if (isPlain(byte)) {
      if (!isSame(byte, code, isShort)) return NO
      here += 1
      continue
    }
    const state = here * codes.length + next
    if (dead.has(state)) return NO
    const characters = charactersAt(text, here)
    if (characters === PARTIAL) return PARTIAL
    for (const one of characters) {
      if (!isSame(one.code, code, isShort)) continue
      const end = match(text, here + one.length, wanted, next + 1, dead)
      if (end !== NO) return end
    }
    dead.add(state)
    return NO
  }
  return here
}

/** Whether a byte is one character, and can be read as nothing else. */
function isPlain(byte: number): boolean {
  return byte > 0 && byte < 0x80 && !isEscape(byte)
}

function isSame(code: number, wanted: number, isExact: boolean): boolean {
  return code === wanted || (!isExact && folded(code) === wanted) || (wanted === SPACE && code === PLUS)
}

/** In lower case. */
function folded(code: number): number {
  if (code < 0x80) return code >= 65 && code <= 90 ? code | 32 : code
  const lower = String.fromCodePoint(code).toLowerCase()
  const point = lower.codePointAt(0) as number
  return lower.length === (point > 0xffff ? 2 : 1) ? point : code
}

/** The bytes that a character may begin with: in UTF-8, in Latin-1 and in UTF-16, in either case. */
function startsOf(code: number): ReadonlySet<number> {
  const one = String.fromCodePoint(code)
  const cases = [one, one.toLowerCase(), one.toUpperCase()]
  const bytes = cases.flatMap((text) => [Buffer.from(text)[0] as number, Buffer.from(text, 'latin1')[0] as number])
  return new Set([...bytes, ...(code === SPACE ? [PLUS] : [])])
}

function isWord(byte: number | undefined): boolean {
  return byte !== undefined && /[\w-]/.test(String.fromCharCode(byte))
}

/** Whether the byte before is the end of an escape such as `%3D` or `\n`, and no part of a word. */
function endsEscape(bytes: Buffer, at: number): boolean {
  return /(%[0-9a-f]{2}|\\[nrtbf]|\\u[0-9a-f]{4})$/i.test(bytes.toString('latin1', Math.max(0, at - 6), at))
}
