/**
 * Names that GraphQL takes (spec, 2.1.9), one for each text: what it can't hold is an underscore, and who comes second to a name
 * gets a number. Texts that are names already come first, so that none of these changes for another's sake.
 *
 * @param taken names that are given; those of now are added
 */
export function namesFor(texts: readonly string[], taken: Set<string> = new Set()): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  const sorted = [...texts].sort((a, b) => Number(b === plain(b)) - Number(a === plain(a)))
  for (const text of sorted) names.set(text, nameFor(text, taken))
  return names
}

/** The same for one text. */
export function nameFor(text: string, taken: Set<string>): string {
  const base = plain(text)
  let name = base
  for (let next = 2; taken.has(name); next++) name = `${base}${base.endsWith('_') ? '' : '_'}${next}`
  taken.add(name)
  return name
}

/** Names that begin with two underscores are GraphQL's own. */
function plain(text: string): string {
  return text
    .replaceAll(/[^A-Za-z0-9_]/g, '_')
    .replace(/^__+/, '_')
    .replace(/^(?=\d|$)/, '_')
}

/** A text as the name of a type, such as `Price` for `price`. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
