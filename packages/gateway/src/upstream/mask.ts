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

/** A secret that is shorter could be found anywhere by chance: it counts only where it stands alone. */
const SHORT = 8
/** Shorter ones are left: hiding them would tell more than it hides, and turn text to noise. */
const SHORTEST = 4

const STAR = '*'.charCodeAt(0)
const [PERCENT, BACKSLASH, AMPERSAND, PLUS, SPACE] = [...'%\\&+ '].map((one) => one.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
]

/** More bytes are waiting for, before it is known whether this is a secret. */
const PARTIAL = -2
const NO = -1

export function createMask(secrets: Iterable<string>): Mask {
  const wanted = [...new Set(secrets)]
    .map((secret) => Buffer.from(secret))
    .filter(({ length }) => length >= SHORTEST)
    // The longer first: one may begin with another.
    .sort((a, b) => b.length - a.length)
  /** By the byte that a text may begin with: most texts hold few of them. */
  const byFirst: (Buffer[] | undefined)[] = []
  const firsts = new Set(wanted.map(([first = 0]) => first))
  for (const secret of wanted) {
    for (const first of [secret[0] as number, PERCENT, BACKSLASH, AMPERSAND, ...(secret[0] === SPACE ? [PLUS] : [])]) {
      const others = byFirst[first] ?? []
      byFirst[first] = others
      if (!others.includes(secret)) others.push(secret)
    }
  }

  /** Most escapes are of characters that no secret begins with. */
  function mayBegin(bytes: Buffer, at: number, byte: number): boolean {
    const { codes, partial } = spelled(bytes, at)
    return partial || firsts.has(byte) || codes.some((code) => firsts.has(code))
  }

  /** Writes over what is found; returns from where on more bytes have to be known. */
  function cover(bytes: Buffer, ended: boolean, found: () => Buffer): number {
    const { length } = bytes
    for (let at = 0; at < length; at++) {
      const byte = bytes[at] as number
      const candidates = byFirst[byte]
      if (candidates === undefined) continue
      if ((byte === PERCENT || byte === BACKSLASH || byte === AMPERSAND) && !mayBegin(bytes, at, byte)) continue
      for (const secret of candidates) {
        const end = match(bytes, at, secret, 0, ended)
        if (end === NO) continue
        if (end === PARTIAL) return at
        if (secret.length < SHORT) {
          if (isWord(bytes[at - 1]) && !isEscape(bytes, at)) continue
          if (end === length && !ended) return at
          if (isWord(bytes[end])) continue
        }
        found().fill(STAR, at, end)
        at = end - 1
        break
      }
    }
    return length
  }

  function bytesOf(bytes: Buffer): Buffer {
    let copy: Buffer | undefined
    cover(bytes, true, () => {
      copy ??= Buffer.from(bytes)
      return copy
    })
    return copy ?? bytes
  }

  return {
    isEmpty: wanted.length === 0,
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
          const until = cover(bytes, false, () => bytes)
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

/** Where a secret ends that begins at `at`; `NO`, or `PARTIAL` when the text ends before that is known. */
function match(bytes: Buffer, at: number, secret: Buffer, index: number, ended: boolean): number {
  let here = at
  for (let next = index; next < secret.length; next++) {
    if (here >= bytes.length) return ended ? NO : PARTIAL
    const [byte, wanted] = [bytes[here] as number, secret[next] as number]
    const plain = byte === wanted || (wanted === SPACE && byte === PLUS)
    const ways = byte === PERCENT || byte === BACKSLASH || byte === AMPERSAND ? spelled(bytes, here) : undefined
    if (ways === undefined) {
      if (!plain) return NO
      here += 1
      continue
    }
    // It may be written otherwise, or be itself: each is followed.
    let partial = ways.partial
    const lengths = ways.lengths.filter((_, way) => ways.codes[way] === wanted)
    for (const length of plain ? [1, ...lengths] : lengths) {
      const end = match(bytes, here + length, secret, next + 1, ended)
      if (end >= 0) return end
      if (end === PARTIAL) partial = true
    }
    return partial && !ended ? PARTIAL : NO
  }
  return here
}

/** What the bytes from here on may mean as one character: its code, and how many bytes that takes. */
interface Spelled {
  readonly codes: number[]
  readonly lengths: number[]
  /** The text ends before that is known. */
  partial: boolean
}

function spelled(bytes: Buffer, at: number): Spelled {
  const ways: Spelled = { codes: [], lengths: [], partial: false }
  const first = bytes[at]
  if (first === PERCENT) percent(bytes, at, ways)
  else if (first === BACKSLASH) escaped(bytes, at, ways)
  else entity(bytes, at, ways)
  return ways
}

function way({ codes, lengths }: Spelled, code: number, length: number): void {
  codes.push(code)
  lengths.push(length)
}

/** Percent-encoded, also more than once: `%2F`, `%252f`. */
function percent(bytes: Buffer, at: number, ways: Spelled): void {
  for (let here = at + 1; ; here += 2) {
    const code = hex(bytes, here)
    if (here + 2 > bytes.length) ways.partial = true
    if (code === undefined || here - at > MOST_NESTED * 2) return
    way(ways, code, here + 2 - at)
    if (code !== PERCENT) return
  }
}

/** In JSON, also inside of JSON: `\/`, `\u002f`, `\\\/`. */
function escaped(bytes: Buffer, at: number, ways: Spelled): void {
  let here = at
  while (here - at < MOST_NESTED && bytes[here] === BACKSLASH) here += 1
  const run = here - at
  for (let length = 2; length <= run; length *= 2) way(ways, BACKSLASH, length)
  const next = bytes[here]
  const point = next === LETTER_U ? bytes.toString('latin1', here + 1, here + 5) : ''
  const isPoint = next === LETTER_U && /^[\da-f]*$/i.test(point)
  if (next === undefined || (isPoint && point.length < 4 && here + 5 > bytes.length)) ways.partial = true
  else if (isPoint && point.length === 4) way(ways, Number.parseInt(point, 16), run + 5)
  else way(ways, next, run + 1)
}

/** In HTML: `&amp;`, `&#47;`, `&#x2f;`. */
function entity(bytes: Buffer, at: number, ways: Spelled): void {
  const text = bytes.toString('latin1', at, at + LONGEST_ENTITY)
  const [all = '', name, decimal, hexadecimal] =
    /^&(?:(amp|lt|gt|quot|apos)|#(\d{1,5})|#x([\da-f]{1,5}));/i.exec(text) ?? []
  if (name !== undefined) way(ways, NAMED[name.toLowerCase()] ?? 0, all.length)
  else if (decimal !== undefined) way(ways, Number(decimal), all.length)
  else if (hexadecimal !== undefined) way(ways, Number.parseInt(hexadecimal, 16), all.length)
  else if (text.length < LONGEST_ENTITY && /^&[#\w]*$/.test(text)) ways.partial = true
}

const NAMED: Readonly<Record<string, number>> = { amp: 38, lt: 60, gt: 62, quot: 34, apos: 39 }
const LONGEST_ENTITY = 9
const MOST_NESTED = 8
const LETTER_U = 'u'.charCodeAt(0)

/** The byte of two hexadecimal digits. */
function hex(bytes: Buffer, at: number): number | undefined {
  const [high, low] = [digit(bytes[at]), digit(bytes[at + 1])]
  return high === undefined || low === undefined ? undefined : high * 16 + low
}

function digit(byte = 0): number | undefined {
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : undefined
}

function isWord(byte: number | undefined): boolean {
  return byte !== undefined && /[\w-]/.test(String.fromCharCode(byte))
}

/** Whether the byte before is the end of an escape such as `%3D` or `\n`, and no part of a word. */
function isEscape(bytes: Buffer, at: number): boolean {
  return /(%[0-9a-f]{2}|\\[nrtbf]|\\u[0-9a-f]{4})$/i.test(bytes.toString('latin1', Math.max(0, at - 6), at))
}
