/** Fields by their lower-case names; repeated ones are joined as HTTP says. */
export type Fields = Readonly<Record<string, string>>

/** What is of one connection and goes no further (RFC 9110, 7.6.1), beside what `Connection` names. */
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

/** Whether a field goes beyond the connection it came on. */
export function travels({ connection = '' }: { readonly connection?: string | undefined }): (name: string) => boolean {
  const named = new Set(members(connection).map((name) => name.toLowerCase()))
  return (name) => !HOP_BY_HOP.has(name) && !named.has(name)
}

/** Members of a list without quoted texts, such as `Vary` or `Connection`. */
export function members(field: string | undefined): readonly string[] {
  return (
    field
      ?.split(',')
      .map((member) => member.trim())
      .filter((member) => member !== '') ?? []
  )
}

/** Whether a list of entity tags names this one. Weakly compared, tags of the same content are one (RFC 9110, 8.8.3.2). */
export function namesTag(field: string, tag: string | undefined, how: 'weakly' | 'strongly'): boolean {
  if (tag === undefined) return false
  if (how === 'strongly' && tag.startsWith('W/')) return false
  // Commas are allowed inside a tag.
  const tags = field.match(/(?:W\/)?"[^"]*"|[^\s,]+/g) ?? []
  return tags.some((other) => (how === 'strongly' ? other === tag : strong(other) === strong(tag)))
}

function strong(tag: string): string {
  return tag.replace(/^W\//, '')
}
