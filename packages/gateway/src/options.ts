import { ConfigError, withoutSecrets } from './errors.ts'

/** A duration with its unit: `'100ms'`, `'1s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** An amount of memory with its unit: `'64kb'`, `'16mb'`, `'1gb'` (1 kb is 1,024 bytes). */
export type Bytes = `${number}${'b' | 'kb' | 'mb' | 'gb'}`

/** The type of an option. */
type Kind = 'duration' | 'bytes' | 'integer' | 'boolean' | 'text' | 'url' | 'texts' | 'any'

interface Compiled {
  duration: number
  bytes: number
  integer: number
  boolean: boolean
  text: string
  url: string
  texts: readonly string[]
  any: unknown
}

/** One row of a table of options. `docs/OPTIONS.md` is generated from these tables. */
interface Option {
  readonly kind: Kind
  /** The default, written like a given value. An option without a default is required unless `optional`. */
  readonly default?: string | number | boolean
  readonly optional?: true
  readonly min?: number
  readonly max?: number
  /** What an option of the kind `any` takes. */
  readonly takes?: string
  readonly help: string
}

export type OptionTable = Readonly<Record<string, Option>>

/** The result of reading a table: durations in milliseconds, sizes in bytes, undefined for missing optionals. */
export type OptionsOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends { optional: true }
    ? Compiled[Table[Name]['kind']] | undefined
    : Compiled[Table[Name]['kind']]
}

/**
 * Reads options by their table: fills in defaults, converts durations to milliseconds and sizes to bytes, and refuses
 * unknown names with a suggestion.
 *
 * @param where the declaration, for messages, such as `http "jupiter"`
 * @throws ConfigError with the option, the expected and the given value
 */
export function readOptions<const Table extends OptionTable>(
  where: string,
  table: Table,
  given: unknown,
): OptionsOf<Table> {
  if (!isRecord(given)) throw new ConfigError(where, 'options', 'an object', given)
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) {
      throw new ConfigError(where, name, knownOr('option', name, Object.keys(table)), name)
    }
  }
  const read: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(table)) {
    const value = given[name] ?? option.default
    if (value === undefined) {
      if (option.optional !== true) throw new ConfigError(where, name, describe(option), undefined)
      read[name] = undefined
    } else {
      read[name] = readOption(where, name, option, value)
    }
  }
  return Object.freeze(read) as OptionsOf<Table>
}

/**
 * Parses a duration to milliseconds.
 *
 * @throws ConfigError for anything but a number with one of the units ms, s, m, h, d
 */
export function milliseconds(where: string, key: string, value: unknown): number {
  return withUnit(where, key, value, MILLISECONDS, "a duration such as '100ms', '1s' or '5m'")
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

function readOption(where: string, key: string, option: Option, value: unknown): unknown {
  switch (option.kind) {
    case 'duration':
      return inRange(where, key, option, value, milliseconds(where, key, value))
    case 'bytes':
      return inRange(where, key, option, value, withUnit(where, key, value, BYTES, "a size such as '64kb' or '16mb'"))
    case 'integer':
      if (!Number.isSafeInteger(value)) throw new ConfigError(where, key, describe(option), value)
      return inRange(where, key, option, value, value as number)
    case 'boolean':
      if (typeof value !== 'boolean') throw new ConfigError(where, key, describe(option), value)
      return value
    case 'text':
      if (typeof value !== 'string' || value === '') throw new ConfigError(where, key, describe(option), value)
      return value
    case 'url':
      // Text that is not an address may be a key, or contain one.
      if (typeof value !== 'string' || !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
        throw new ConfigError(where, key, describe(option), withoutSecrets(value))
      }
      return value
    case 'texts': {
      const texts = typeof value === 'string' ? value.split(',') : value
      // API keys are given as lists, so the elements are not shown.
      if (!Array.isArray(texts)) throw new ConfigError(where, key, describe(option), typeof value)
      if (!texts.every((text) => typeof text === 'string'))
        throw new ConfigError(where, key, describe(option), 'a list with other types')
      return texts.map((text: string) => text.trim()).filter((text) => text !== '')
    }
    case 'any':
      return value
  }
}

function inRange(where: string, key: string, option: Option, given: unknown, value: number): number {
  if (value < (option.min ?? 0) || value > (option.max ?? Number.POSITIVE_INFINITY)) {
    throw new ConfigError(where, key, describe(option), given)
  }
  return value
}

function withUnit(
  where: string,
  key: string,
  value: unknown,
  units: Readonly<Record<string, number>>,
  expected: string,
): number {
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(value) : null
  const name = match?.[2] ?? ''
  const unit = Object.hasOwn(units, name) ? units[name] : undefined
  if (match === null || unit === undefined) throw new ConfigError(where, key, expected, value)
  // Fractions of a byte or a millisecond have no meaning here.
  return Math.round(Number(match[1]) * unit)
}

const KINDS: Readonly<Record<Kind, string>> = {
  duration: "a duration such as '1s'",
  bytes: "a size such as '16mb'",
  integer: 'a whole number',
  boolean: 'true or false',
  text: 'a string',
  url: 'a URL that begins with http:// or https://',
  texts: 'a list of strings',
  any: 'a value',
}

/** Describes the type and range of an option, for messages and for the reference. */
export function describe(option: Option): string {
  const unit = option.kind === 'duration' ? ' ms' : option.kind === 'bytes' ? ' bytes' : ''
  const least = option.min ? `, at least ${option.min.toLocaleString('en')}${unit}` : ''
  const most = option.max === undefined ? '' : `, at most ${option.max.toLocaleString('en')}${unit}`
  return `${option.takes ?? KINDS[option.kind]}${least}${most}`
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Describes the expected name: the similar known name, or all known names. */
export function knownOr(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? `one of ${known.join(', ')}` : `a known ${what} (did you mean "${near}"?)`
}

/** The known name with an edit distance of at most two, if there is one. */
function nearest(name: string, known: readonly string[]): string | undefined {
  return known
    .map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]?.candidate
}

/** The Levenshtein distance, computed row by row. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      )
    }
    row = next
  }
  return row[b.length] ?? 0
}
