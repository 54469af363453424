/**
 * When a value became what it is. Both parts are ordered, epoch first: a client accepts only a larger version, so time
 * never runs backwards for it, whatever transport or node it uses next.
 */
export interface Version {
  /** Milliseconds since 1970 at which the counting began; a later counting has a larger one. */
  readonly epoch: number
  /** Counts the changes of the value inside the epoch, from 1. */
  readonly sequence: number
}

const PATTERN = /^(\d{1,16}):(\d{1,16})$/

/** `epoch:sequence`, as it stands in `Weir-Version`, in SSE ids and in messages. */
export function formatVersion(version: Version): string {
  return `${version.epoch}:${version.sequence}`
}

/** Reads `epoch:sequence`; undefined when the text is anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const epoch = Number(match[1])
  const sequence = Number(match[2])
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(sequence) ? { epoch, sequence } : undefined
}

/** Below zero when `a` is older than `b`, zero when they are the same, above zero when it is newer. */
export function compareVersions(a: Version, b: Version): number {
  return a.epoch - b.epoch || a.sequence - b.sequence
}
