import { hash } from 'node:crypto'
import { compareVersions, formatVersion, type Version } from '@weir/protocol'
import { parseJson } from './json.ts'

/** What an upstream has for a key: a value as JSON, or a reason why there is none. */
export interface Content {
  /** JSON text of the value; undefined when it is absent. */
  readonly json: Buffer | undefined
  /** Why there is no value. */
  readonly reason: string | undefined
  /** How long absence is believed before asking again, in milliseconds; `Infinity` where no value will ever come. */
  readonly absentFor: number | undefined
  /** Set where it comes with a version, as from another gateway: it is not given one here. */
  readonly stamp?: Stamp
  /** The moment of which it is, on this process's monotonic clock; that of its publication unless said. */
  readonly since?: number
  /** From when on it counts as stale, on the same clock: a value made of others, when one of those does. */
  readonly staleFrom?: number
}

/** The version of a content, and its moments. */
export type Stamp = Pick<Stored, 'version' | 'lineage' | 'over' | 'changedAt' | 'checkedAt'>

/** What the shared tier keeps of a topic. */
export interface Stored extends Omit<Content, 'stamp' | 'since' | 'staleFrom'> {
  readonly version: Version
  /** Where the version is an origin's: of which line of epochs it is. Versions that are given here are of the backend's. */
  readonly lineage?: string | undefined
  /** The lineage that was left for this one, though its versions are larger. */
  readonly over?: string | undefined
  /** A hash of the content: the same content has the same hash, on every node. */
  readonly hash: string
  /** When the value became this, wall time in milliseconds since 1970. */
  readonly changedAt: number
  /** When the upstream last confirmed it. */
  readonly checkedAt: number
  /** From when on it counts as stale, whatever its feed allows: when one of the values it was made of does. */
  readonly staleAt?: number
}

/** A version with what is known of its line of epochs. */
export type Placed = Pick<Stored, 'version' | 'lineage' | 'over'>

/** Above zero when `next` is news to a keeper of `had`, zero when it is the same: by the version, but for a lineage that was left. */
export function compareNews(next: Placed, had: Placed): number {
  if (next.over !== undefined && next.over === had.lineage) return 1
  if (next.lineage !== undefined && next.lineage === had.over) return -1
  return compareVersions(next.version, had.version)
}

/** A lineage that was left stays so, as long as what took its place goes on. */
export function keptOver(next: Placed, had: Placed | undefined): string | undefined {
  return had !== undefined && had.lineage === next.lineage ? had.over : undefined
}

/** How long the values of a feed may be served. Times in milliseconds. */
export interface Freshness {
  /** A value is served without asking. */
  readonly fresh: number
  /** Beyond that it may be served while it is fetched anew. */
  readonly stale: number
  /** Beyond `fresh` it may be served while the upstream fails. */
  readonly staleIfError: number
  /** The share of `fresh`, from 0 to 1, by which it is shortened at random. */
  readonly spread: number
  /** Of what moment a value says it is, milliseconds since 1970. */
  readonly asOf: ((value: unknown) => number | undefined) | undefined
  /** Names by which values are dropped. */
  readonly tags: ((value: unknown, key: unknown) => readonly string[]) | undefined
}

/** One way to put an entry on the wire: `json`, `br`, `sse`, … */
export interface Encoding<Subject> {
  readonly name: string
  encode(subject: Subject): Buffer
}

/** Something that is encoded at most once for each encoding, whoever many get it. */
export class Encoded<Subject> {
  readonly #subject: Subject
  // Nearly every subject has one or two encodings: an array of pairs is smaller and quicker than a Map.
  readonly #made: { encoding: Encoding<Subject>; bytes: Buffer }[] = []

  constructor(subject: Subject) {
    this.#subject = subject
  }

  get subject(): Subject {
    return this.#subject
  }

  /** The bytes in this encoding; the same Buffer every time, which nobody may change. */
  as(encoding: Encoding<Subject>): Buffer {
    for (const pair of this.#made) if (pair.encoding === encoding) return pair.bytes
    const bytes = encoding.encode(this.#subject)
    this.#made.push({ encoding, bytes })
    return bytes
  }
}

/** Stands between an address and the identity in a private topic: a line break, which no request target can contain. */
const OWNED_BY = '\n'

/** The topic of a value at `address` that belongs to the caller named by `owner`, not to everyone. */
export function privateTopic(address: string, owner: string): string {
  return address + OWNED_BY + owner
}

/** The address of a topic, without the identity that a private topic carries. */
export function addressOf(topic: string): string {
  const end = topic.indexOf(OWNED_BY)
  return end === -1 ? topic : topic.slice(0, end)
}

/** The identity in a private topic; empty for a public one. */
export function ownerOf(topic: string): string {
  return topic.slice(addressOf(topic).length + OWNED_BY.length)
}

/** A topic as messages name it, and whether it is everybody's. */
export function named(topic: string): { readonly topic: string; readonly private?: true } {
  const address = addressOf(topic)
  return address === topic ? { topic } : { topic: address, private: true }
}

/** One version of a topic, on this node: immutable but for what `confirm` moves. */
export class Entry {
  readonly topic: string
  readonly key: unknown
  content: Content
  readonly version: Version
  readonly lineage: string | undefined
  readonly over: string | undefined
  readonly hash: string
  readonly changedAt: number
  /** When the upstream last confirmed it, wall time. */
  checkedAt: number
  /** The same on this node's monotonic clock: freshness is counted by it. */
  confirmedAt: number
  /** From when on it counts as stale, on the monotonic clock, whatever its feed allows: as of what it was made of. */
  staleFrom: number
  /** When an answer brought it here, on the monotonic clock. An older one that was only read in the shared tier did not. */
  cameAt = Number.NEGATIVE_INFINITY
  /** When that was asked for. */
  askedAt = Number.NEGATIVE_INFINITY
  /** Of what moment the value itself says it is, on the monotonic clock. Set by the cache, as the next. */
  asOf: number | undefined
  /** The share of its freshness that it does without, so that what came together does not expire together. */
  spread = 0
  readonly encoded: Encoded<Entry>
  /** The feed it was kept by: two feeds may never read each other's entries, whatever their topics are. */
  readonly feed: string
  /** Whether it was stale already when it was first shown: each message that carries it says so. */
  stale = false
  /** Whether it belongs to one tenant or user, so that no look-up by address may find it. */
  readonly private: boolean
  #value: unknown
  #versionText: string | undefined
  #parsed = false

  constructor(
    topic: string,
    key: unknown,
    stored: Stored,
    confirmedAt: number,
    staleFrom = Number.POSITIVE_INFINITY,
    feed = '',
  ) {
    this.topic = topic
    this.feed = feed
    this.private = addressOf(topic) !== topic
    this.key = key
    this.content = { json: stored.json, reason: stored.reason, absentFor: stored.absentFor }
    this.version = stored.version
    this.lineage = stored.lineage
    this.over = stored.over
    this.hash = stored.hash
    this.changedAt = stored.changedAt
    this.checkedAt = stored.checkedAt
    this.confirmedAt = confirmedAt
    this.staleFrom = staleFrom
    this.encoded = new Encoded<Entry>(this)
  }

  /** The upstream confirmed it unchanged; what it said of how long absence is to be believed holds from now on. */
  confirm(
    { checkedAt, absentFor }: Pick<Stored, 'checkedAt' | 'absentFor'>,
    confirmedAt: number,
    staleFrom = Number.POSITIVE_INFINITY,
  ): void {
    if (absentFor !== this.content.absentFor && confirmedAt >= this.confirmedAt) {
      this.content = { ...this.content, absentFor }
    }
    if (confirmedAt >= this.confirmedAt) this.staleFrom = staleFrom
    this.checkedAt = Math.max(this.checkedAt, checkedAt)
    this.confirmedAt = Math.max(this.confirmedAt, confirmedAt)
  }

  /** It counts as too old for anything from now on, until the upstream confirms it anew. */
  expire(): void {
    this.confirmedAt = Number.NEGATIVE_INFINITY
    this.cameAt = Number.NEGATIVE_INFINITY
  }

  /** The moment its age is counted from, on the monotonic clock. */
  get since(): number {
    return Math.min(this.confirmedAt, this.asOf ?? this.confirmedAt)
  }

  /** The topic as clients see it. */
  get address(): string {
    return addressOf(this.topic)
  }

  /** `epoch:sequence`, written once. */
  get versionText(): string {
    this.#versionText ??= formatVersion(this.version)
    return this.#versionText
  }

  get absent(): boolean {
    return this.content.json === undefined
  }

  /** No value will ever come. */
  get never(): boolean {
    return this.content.absentFor === Number.POSITIVE_INFINITY
  }

  /** The value, parsed once, frozen through and through: no caller can change what another reads. */
  get value(): unknown {
    if (!this.#parsed) {
      this.#value = this.content.json === undefined ? undefined : deepFreeze(parseJson(this.content.json.toString()))
      this.#parsed = true
    }
    return this.#value
  }

  /** Bytes of memory it keeps, near enough to bound a cache by. */
  get size(): number {
    return 400 + this.topic.length * 2 + (this.content.json?.byteLength ?? 0) * 3
  }
}

/** The hash of a content, for its version and its ETag: 27 letters of base64url (SHA-1, for identity, not for secrecy). */
export function hashOf(content: Content): string {
  return hash(
    'sha1',
    content.json ?? `${content.absentFor === Number.POSITIVE_INFINITY ? 'never' : 'absent'}:${content.reason}`,
    'base64url',
  )
}

function deepFreeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
