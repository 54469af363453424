import type { Level } from '@weir/protocol'
import type { Answer, AnswerHeaders, Call, MaybePromise } from '../call.ts'
import type { Clock } from '../clock.ts'
import { COMPRESSIONS, type Compression, chooseCompression } from '../compress.ts'
import type { Encoding, Entry } from '../entry.ts'
import { absence, type FeedRuntime } from '../topic/feed/feed-runtime.ts'
import { problemAnswer } from './problem.ts'

/** Compressed forms of an entry: each made at most once for each version. */
const PACKED = Object.fromEntries(COMPRESSIONS.map((compression) => [compression.name, packed(compression)])) as Record<
  Compression['name'],
  Encoding<Entry>
>

function packed({ name, compress }: Compression): Encoding<Entry> {
  return { name, encode: (entry) => compress(entry.content.json ?? Buffer.alloc(0)) }
}

/** The longest lifetime in a header, in milliseconds (RFC 9111, 1.2.2). */
const A_YEAR = 31_536_000_000
const VARY = 'accept, accept-encoding'

export interface SnapshotParts {
  readonly clock: Clock
  readonly level: () => Level
  /** Of which line of epochs the versions are, where it is known. */
  readonly lineage: () => string | undefined
}

/** Answers a call with the value of a feed as JSON: from memory at once, or when the upstream has answered. */
export function snapshot(
  parts: SnapshotParts,
  feed: FeedRuntime,
  call: Call,
  parameters: Readonly<Record<string, string>>,
): MaybePromise<Answer> {
  // An address that is itself a topic was read before: what is kept under it needs no second reading of its key.
  const known = feed.plan.scope === 'public' ? feed.hit(call.url) : undefined
  if (known !== undefined) return cacheable(parts, feed, call, known, true)
  const readKey = feed.keyOf(parameters, call.query, call.identity)
  const hit = feed.fresh(readKey.topic) !== undefined
  const entry = feed.read(readKey, { client: call.remote, signal: hit ? undefined : call.signal })
  if (entry instanceof Promise) return entry.then((entry) => cacheable(parts, feed, call, entry, false))
  return cacheable(parts, feed, call, entry, hit)
}

/** For caches too. They hand it on while time passes, so it says only what stays true of it. */
function cacheable(
  { clock, level, lineage }: SnapshotParts,
  feed: FeedRuntime,
  call: Call,
  entry: Entry,
  hit: boolean,
): Answer {
  const left = feed.left(entry)
  const headers: AnswerHeaders = {
    ...lifetimes(feed, entry),
    'cache-status': cacheStatus(left, hit),
    age: ageOf(entry, clock),
    'weir-version': entry.versionText,
  }
  const line = entry.lineage ?? lineage()
  if (line !== undefined) headers['weir-lineage'] = line
  // A copy that was fresh grows stale in the cache; one that was stale never gets younger.
  if ((left < 0 || feed.isTold) && feed.stale(entry)) headers['weir-stale'] = '?1'
  const now = level()
  if (now !== 'normal') headers['weir-level'] = now
  return whole(call, entry, headers)
}

/** Whether it came from memory (RFC 9211). `left`: milliseconds for which it stays fresh. */
export function cacheStatus(left: number, hit: boolean): string {
  return hit || left <= 0 ? `weir; hit; ttl=${Math.floor(Math.min(left, A_YEAR) / 1000)}` : 'weir; fwd=miss; stored'
}

/** The headers of an answer that no cache keeps: its age, whether it is stale, and the level. */
export function inBand(
  { clock, level, lineage }: SnapshotParts,
  feed: FeedRuntime,
  entry: Entry | undefined,
): AnswerHeaders {
  const headers: AnswerHeaders = { 'cache-control': 'no-store', 'weir-level': level() }
  if (entry === undefined) return headers
  headers.age = ageOf(entry, clock)
  headers['weir-version'] = entry.versionText
  const line = entry.lineage ?? lineage()
  if (line !== undefined) headers['weir-lineage'] = line
  headers['weir-stale'] = feed.stale(entry) ? '?1' : '?0'
  return headers
}

/** The value of an entry as an answer, compressed where that pays; 304 to clients that have it, 404 when there is none. */
export function whole(call: Call, entry: Entry, headers: AnswerHeaders): Answer {
  const { json } = entry.content
  headers.vary = entry.private ? `${VARY}, authorization, cookie` : VARY
  if (json === undefined) return problemAnswer(absence(entry), headers)

  const compression = chooseCompression(call.header('accept-encoding'), json.byteLength)
  // A strong tag names bytes, and each compression has its own.
  const etag = compression === undefined ? `"${entry.hash}"` : `"${entry.hash}-${compression.name}"`
  headers.etag = etag
  if (matches(call.header('if-none-match'), entry.hash)) return { kind: 'whole', status: 304, headers, body: null }
  headers['content-type'] = 'application/json'
  if (compression === undefined) return { kind: 'whole', status: 200, headers, body: json }
  headers['content-encoding'] = compression.name
  return { kind: 'whole', status: 200, headers, body: entry.encoded.as(PACKED[compression.name]) }
}

/** Seconds since the moment of which the value is. */
function ageOf(entry: Entry, clock: Clock): string {
  return String(Math.floor(Math.max(0, clock.monotonic() - entry.since) / 1000))
}

/** How long caches may serve it (RFC 9111, 5861), and how long edges may (RFC 9213). */
function lifetimes(
  { plan: { scope, freshness, mustRevalidate, cdn } }: FeedRuntime,
  { content }: Entry,
): AnswerHeaders {
  // A cache of a browser outlives a sign-out, and the next caller may have the same cookie: it asks each time, and 304 is cheap.
  if (scope !== 'public') return { 'cache-control': 'private, no-store' }
  const fresh = Math.min(content.absentFor ?? freshness.fresh, A_YEAR)
  const beyond = mustRevalidate
    ? 'must-revalidate'
    : `stale-while-revalidate=${seconds(freshness.stale)}, stale-if-error=${seconds(freshness.staleIfError)}`
  const headers: AnswerHeaders = {
    'cache-control': `public, max-age=${Math.ceil(fresh / 1000)}, ${beyond}`,
  }
  if (cdn !== undefined && content.absentFor === undefined)
    headers['cdn-cache-control'] = `public, max-age=${seconds(cdn)}, ${beyond}`
  return headers
}

function seconds(duration: number): number {
  return Math.floor(duration / 1000)
}

/** Whether `If-None-Match` names this content, in whatever compression (RFC 9110, 13.1.2: compared weakly). */
function matches(header: string | undefined, hash: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some(
    (tag) =>
      tag
        .trim()
        .replace(/^W\//, '')
        .replace(/^"|(-br|-gzip)?"$/g, '') === hash,
  )
}
