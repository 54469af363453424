/** Fields by lower-case name. Repeated fields are joined by commas. */
export type Fields = Readonly<Record<string, string>>

/** Fields that apply to one connection and are not forwarded (RFC 9110, 7.6.1), besides those named in `Connection`. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Returns a function that tells whether a field is forwarded beyond its connection. */
export function travels({ connection = '' }: { readonly connection?: string | undefined }): (name: string) => boolean {
  const named = new Set(members(connection).map((name) => name.toLowerCase()))
  return (name) => !HOP_BY_HOP.has(name) && !named.has(name)
}

/** Members of a list without quoted strings, such as `Vary` or `Connection`. */
export function members(field: string | undefined): readonly string[] {
  return (
    field
      ?.split(',')
      .map((member) => member.trim())
      .filter((member) => member !== '') ?? []
  )
}

/**
 * Whether a list of entity tags contains this one. In a weak comparison, weak and strong tags are equal (RFC 9110,
 * 8.8.3.2).
 */
export function namesTag(field: string, tag: string | undefined, how: 'weakly' | 'strongly'): boolean {
  if (tag === undefined) return false
  if (how === 'strongly' && tag.startsWith('W/')) return false
  // A tag may contain commas.
  const tags = field.match(/(?:W\/)?"[^"]*"|[^\s,]+/g) ?? []
  return tags.some((other) => (how === 'strongly' ? other === tag : strong(other) === strong(tag)))
}

function strong(tag: string): string {
  return tag.replace(/^W\//, '')
}
