import { parseDictionary } from 'structured-headers'

/** Cache directives by lower-case name. The value is '' if there is none, or an invalid one. */
export type Directives = ReadonlyMap<string, string>

/** Longer times are reduced to this (RFC 9111, 1.2.2), in seconds. */
const MAX_SECONDS = 2 ** 31

/** Members of a list. Commas inside quotes do not separate. */
const MEMBERS = /(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+/g

/**
 * Parses `Cache-Control` (RFC 9111, 5.2) of requests and answers. A directive that is repeated with different values
 * has no valid one, and what it limits counts as stale, as 4.2.1 encourages.
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
 * Parses a targeted field such as `CDN-Cache-Control` (RFC 9213), a structured dictionary.
 *
 * @returns undefined if it is missing or unreadable, which means the same (2.1)
 */
export function readTargeted(field: string | undefined): Directives | undefined {
  if (field === undefined) return undefined
  const directives = new Map<string, string>()
  try {
    for (const [name, [value]] of parseDictionary(field)) {
      // `?0` means that the directive does not apply.
      if (value !== false) directives.set(name, typeof value === 'number' ? String(value) : '')
    }
  } catch {
    return undefined
  }
  return directives.size === 0 ? undefined : directives
}

/** The seconds of a directive; 0 if its value is invalid, undefined if it is missing. */
export function secondsOf(directives: Directives, name: string): number | undefined {
  const value = directives.get(name)
  if (value === undefined) return undefined
  return /^\d+$/.test(value) ? Math.min(Number(value), MAX_SECONDS) : 0
}

/** The seconds of an `Age` field, 0 if it is invalid. The first of several counts (RFC 9111, 5.1). */
export function readAge(field: string | undefined): number {
  const first = field?.split(',', 1)[0]?.trim() ?? ''
  return /^\d+$/.test(first) ? Math.min(Number(first), MAX_SECONDS) : 0
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1).replace(/"$/, '').replace(/\\(.)/g, '$1') : value
}
