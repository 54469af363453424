import type { Entry } from '../entry.ts'

/** The fields of a `snapshot` or an `absent`, as JSON text without its braces and its type. */
export function entryFields(entry: Entry, stale = entry.stale): string {
  const { versionText, changedAt, checkedAt, content } = entry
  const moments = `"changedAt":${changedAt},"checkedAt":${checkedAt}${stale ? ',"stale":true' : ''}`
  const head = `${topicFields(entry)},"version":"${versionText}",${moments}`
  // The value goes in as the text it is: it was encoded when it came, and JSON text has no line breaks.
  return content.json === undefined ? `${head},${absenceFields(content)}` : `${head},"value":${content.json.toString()}`
}

/** The topic as clients see it, whether it is everybody's, and of an origin's value the lineage of its version, as JSON text without braces. */
export function topicFields(entry: Pick<Entry, 'address' | 'private' | 'lineage'>): string {
  const line = entry.lineage === undefined ? '' : `,"lineage":"${entry.lineage}"`
  return `"topic":${JSON.stringify(entry.address)}${entry.private ? ',"private":true' : ''}${line}`
}

/** Why there is no value, and for how long that is to be believed, as JSON text without braces. */
export function absenceFields({ reason, absentFor }: Pick<Entry['content'], 'reason' | 'absentFor'>): string {
  const until = absentFor === undefined ? '' : Number.isFinite(absentFor) ? `,"for":${absentFor}` : ',"never":true'
  return `"reason":${JSON.stringify(reason)}${until}`
}
