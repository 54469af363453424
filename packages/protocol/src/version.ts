/**
 * Orders the changes of a value, by epoch and then by sequence. A client accepts only a larger version, so it never
 * goes back in time, whatever transport or node it uses next.
 */
export interface Version {
  /** When the counting began, in milliseconds since 1970. A later counting has a larger epoch. */
  readonly epoch: number
  /** Counts the changes of the value within the epoch, from 1. */
  readonly sequence: number
}

const PATTERN = /^(\d{1,16}):(\d{1,16})$/

/** Formats `epoch:sequence`, as in `Weir-Version`, in SSE ids and in messages. */
export function formatVersion(version: Version): string {
  return `${version.epoch}:${version.sequence}`
}

/** Parses `epoch:sequence`; undefined for any other text. */
export function parseVersion(text: string): Version | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const epoch = Number(match[1])
  const sequence = Number(match[2])
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(sequence) ? { epoch, sequence } : undefined
}

/** Negative if `a` is older than `b`, zero if they are equal, positive if it is newer. */
export function compareVersions(a: Version, b: Version): number {
  return a.epoch - b.epoch || a.sequence - b.sequence
}
