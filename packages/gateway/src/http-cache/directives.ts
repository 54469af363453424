import { parseDictionary } from 'structured-headers'

/** Cache directives by their lower-case names: their values, or '' where one has none or an invalid one. */
export type Directives = ReadonlyMap<string, string>

/** Times beyond this are this (RFC 9111, 1.2.2), in seconds. */
const MOST_SECONDS = 2 ** 31

/** Members of a list: commas inside quotes part nothing. */
const MEMBERS = /(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+/g

/**
 * Reads `Cache-Control` (RFC 9111, 5.2), of requests and of answers. A directive that comes twice with different values has no
 * valid one: what it bounds then counts as stale, as 4.2.1 encourages.
 */
export function readDirectives(field: string | undefined): Directives {
  const directives = new Map<string, string>()
  for (const member of field?.match(MEMBERS) ?? []) {
    const [, name = '', value = ''] = /^\s*([^\s=]+)(?:=(.*?))?\s*$/s.exec(member) ?? /^\s*([^\s=]*)/.exec(member) ?? []
    if (name === '') continue
    const key = name.toLowerCase()
    const known = directives.get(key)
    directives.set(key, known === undefined || known === unquoted(value) ? unquoted(value) : '')
  }
  return directives
}

/**
 * Reads a targeted field such as `CDN-Cache-Control` (RFC 9213): a dictionary of structured fields.
 *
 * @returns undefined when there is none or it can't be read; then it is as if it had not come (2.1)
 */
export function readTargeted(field: string | undefined): Directives | undefined {
  if (field === undefined) return undefined
  const directives = new Map<string, string>()
  try {
    for (const [name, [value]] of parseDictionary(field)) {
      // `?0` says that a directive does not hold.
      if (value !== false) directives.set(name, typeof value === 'number' ? String(value) : '')
    }
  } catch {
    return undefined
  }
  return directives.size === 0 ? undefined : directives
}

/** The seconds that a directive names; 0 when it has no valid value, undefined when it is not there. */
export function secondsOf(directives: Directives, name: string): number | undefined {
  const value = directives.get(name)
  if (value === undefined) return undefined
  return /^\d+$/.test(value) ? Math.min(Number(value), MOST_SECONDS) : 0
}

/** The seconds of an `Age` field, 0 when it has no valid one; of several the first counts (RFC 9111, 5.1). */
export function readAge(field: string | undefined): number {
  const first = field?.split(',', 1)[0]?.trim() ?? ''
  return /^\d+$/.test(first) ? Math.min(Number(first), MOST_SECONDS) : 0
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1).replace(/"$/, '').replace(/\\(.)/g, '$1') : value
}
