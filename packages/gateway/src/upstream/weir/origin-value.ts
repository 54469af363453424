import { parseVersion } from '@weir/protocol'
import type { LogHistory } from '../../backend/ports.ts'
import { unpooledBuffer } from '../../buffer.ts'
import type { Content } from '../../entry.ts'
import { ERRORS, type ErrorCode, show, WeirError } from '../../errors.ts'
import { stringifyJson } from '../../json.ts'
import { isRecord } from '../../options.ts'

/** What an origin says of a key: a content with the origin's version. No value of an upstream can be taken for one. */
export class OriginValue {
  readonly content: Content

  constructor(content: Content) {
    this.content = content
  }
}

/** What is asked of an origin over HTTP. */
export interface OriginCall {
  /** What it has for topics: for each, in their order, a value, that there is none, or why it can't be had. */
  values(topics: readonly string[]): Promise<readonly (OriginValue | WeirError)[]>
  /** Events of a log after a position, or from the oldest that is kept. `most`: 1 to 1,000. */
  history(topic: string, after: string | undefined, most: number): Promise<LogHistory>
}

/** What an origin may say of a topic beside its version: `snapshot` and `absent`, and what `/weir/values` answers. */
type Said = Readonly<Record<string, unknown>>

/**
 * @param ahead milliseconds by which our clock is ahead of the origin's: ages are what they are there, and clients count them by our clock
 * @param lineage of the versions of the answer or connection, where a value does not say it
 * @throws WeirError `upstream_invalid`
 */
export function originValueOf(said: Said, ahead: number, lineage: string | undefined): OriginValue {
  const { version: text, changedAt, checkedAt } = said
  const version = parseVersion(String(text))
  if (version === undefined || typeof changedAt !== 'number' || typeof checkedAt !== 'number')
    throw new WeirError('upstream_invalid', `origin: expected a version and its moments, got ${show(said)}`)
  const stamp = {
    version,
    lineage: lineageOf(said, lineage),
    changedAt: here(changedAt, ahead),
    checkedAt: here(checkedAt, ahead),
  }
  // What is stale there is stale here.
  const held = said.stale === true ? { staleFrom: Number.NEGATIVE_INFINITY } : {}
  if (!Object.hasOwn(said, 'value')) {
    const absentFor = said.never === true ? Number.POSITIVE_INFINITY : said.for
    const reason = String(said.reason)
    return new OriginValue({
      json: undefined,
      reason,
      absentFor: typeof absentFor === 'number' ? absentFor : undefined,
      stamp,
    })
  }
  const json = unpooledBuffer(stringifyJson(said.value) ?? 'null')
  return new OriginValue({ json, reason: undefined, absentFor: undefined, stamp, ...held })
}

/** The lineage that is named there. `otherwise`: that of the connection or answer which it came with. */
export function lineageOf(said: unknown, otherwise?: string): string | undefined {
  return isRecord(said) && typeof said.lineage === 'string' ? said.lineage : otherwise
}

/** A moment of the origin's clock on ours. What was dropped was never confirmed, by any clock. */
export function here(moment: number, ahead: number): number {
  return moment === 0 ? 0 : Math.round(moment + ahead)
}

/** What an origin says of itself alone: how it failed inside, and that it lacks an address which this region has. */
const THEIRS: readonly ErrorCode[] = ['internal', 'not_found']

/** The error that an origin says, as if it had happened here. */
export function errorOf(problem: unknown): WeirError {
  const { code, detail, retryAfter } = isRecord(problem) ? problem : {}
  const known = typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'upstream_failed'
  return new WeirError(THEIRS.includes(known) ? 'upstream_failed' : known, String(detail ?? show(problem)), {
    ...(typeof retryAfter === 'number' ? { retryAfter: retryAfter * 1000 } : {}),
  })
}
