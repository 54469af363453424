import type { Entry } from '../entry.ts'

/** The fields of a `snapshot` or an `absent`, as JSON text without its braces and its type. */
export function entryFields({ address, versionText, changedAt, checkedAt, content }: Entry): string {
  const head = `"topic":${JSON.stringify(address)},"version":"${versionText}","changedAt":${changedAt},"checkedAt":${checkedAt}`
  // The value goes in as the text it is: it was encoded when it came, and JSON text has no line breaks.
  return content.json === undefined
    ? `${head},"reason":${JSON.stringify(content.reason)}`
    : `${head},"value":${content.json.toString()}`
}
