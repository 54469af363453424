import type { Content, Stored } from '../src/entry.ts'
import { hashOf } from '../src/entry.ts'

/** The content of a value. */
export function content(value: unknown): Content {
  return { json: Buffer.from(JSON.stringify(value)), reason: undefined, absentFor: undefined }
}

/** The content of a key without a value, believed for so many milliseconds. */
export function absence(reason: string, absentFor = 10_000): Content {
  return { json: undefined, reason, absentFor }
}

/** A stored value of this sequence, changed and checked at the same moment unless said otherwise. */
export function stored(value: unknown, given: Partial<Stored> & { readonly sequence?: number } = {}): Stored {
  const { sequence = 1, ...rest } = given
  const made = content(value)
  return { ...made, version: { epoch: 1, sequence }, hash: hashOf(made), changedAt: 0, checkedAt: 0, ...rest }
}
